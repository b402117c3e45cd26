/** Part of a certificate's life that is left when somebody should look why it was not renewed: nodes do that by 4/5. */
const WARN_FRACTION = 1 / 5;

/** How a certificate stands. `dueMs`: how long until it comes to the next stage; `undefined` once it has expired. */
export interface CertificateStage {
  stage: 'fresh' | 'expiring' | 'expired';
  dueMs: number | undefined;
}

/** The stage at `nowMs` (wall time) of a certificate whose times are RFC 3339. */
export function certificateStage(
  { NotBefore, NotAfter }: { NotBefore: string; NotAfter: string },
  nowMs: number,
): CertificateStage {
  const [from, until] = [Date.parse(NotBefore), Date.parse(NotAfter)];
  const warnAt = until - (until - from) * WARN_FRACTION;
  if (nowMs < warnAt) return { stage: 'fresh', dueMs: warnAt - nowMs };
  return nowMs < until ? { stage: 'expiring', dueMs: until - nowMs } : { stage: 'expired', dueMs: undefined };
}
