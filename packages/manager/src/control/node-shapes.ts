import type { ApiObject, Node } from '@swarmd/model';
import type { TlsInfo } from '../ca/issuing-root.js';

/** A node in the API's JSON. `clusterTls` stands in until the node has reported its own. */
export function nodeToApi(node: Node, clusterTls: TlsInfo | undefined): ApiObject {
  const { ID, Version, CreatedAt, UpdatedAt, Spec, Description, Status, ManagerStatus, Certificate, SwarmdVersion } =
    node;
  const tls = Description?.TLSInfo ?? clusterTls ?? {};
  return {
    ID,
    Version,
    CreatedAt,
    UpdatedAt,
    Spec: { ...Spec, Labels: Spec.Labels ?? {} },
    Description: Description
      ? { ...Description, Engine: engineToApi(Description.Engine), TLSInfo: tls }
      : { Hostname: '', Platform: {}, Resources: {}, Engine: {}, TLSInfo: tls },
    Status: {
      State: Status.State,
      ...(Status.Message ? { Message: Status.Message } : {}),
      Addr: Status.Addr,
    },
    ...(ManagerStatus
      ? {
          ManagerStatus: {
            ...(ManagerStatus.Leader ? { Leader: true } : {}),
            Reachability: ManagerStatus.Reachability,
            Addr: ManagerStatus.Addr,
          },
        }
      : {}),
    ...(SwarmdVersion ? { SwarmdVersion } : {}),
    ...(Certificate ? { Certificate: { NotBefore: Certificate.NotBefore, NotAfter: Certificate.NotAfter } } : {}),
  };
}

function engineToApi(engine: NonNullable<Node['Description']>['Engine']): Record<string, unknown> {
  const { EngineVersion, Labels, Plugins } = engine;
  return {
    EngineVersion,
    ...(Labels && Object.keys(Labels).length > 0 ? { Labels } : {}),
    ...(Plugins && Plugins.length > 0 ? { Plugins } : {}),
  };
}
