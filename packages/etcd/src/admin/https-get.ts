import { request } from 'node:https';
import type { EtcdTls } from '../process/key-directory.js';

/** The text at `url` of an etcd member, whatever the status. Rejects when it cannot be had whole. */
export function httpsGet(url: URL, tls: EtcdTls, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request(url, {
      ...{ ca: tls.caPem, cert: tls.certificatePem, key: tls.keyPem },
      ...{ agent: false, signal },
    });
    call.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve(text));
      response.on('error', reject);
    });
    call.on('error', reject);
    call.on('close', () => reject(new Error('there was no answer')));
    call.end();
  });
}
