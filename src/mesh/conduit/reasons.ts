/** Reasons for which an OPEN is tried again, at the same node or at another instance of the service. */
export const RETRYABLE = new Set([
  'CONDUIT_INCARNATION',
  'LINK_LOST',
  'NODE_DRAINING',
  'NO_PATH',
  'PATH_LOST',
  'SERVICE_NOT_HERE',
  'TARGET_UNREACHABLE',
  'TUNNEL_DRAINING',
  'TUNNEL_TIMEOUT',
]);
/** The way was lost, not the instance. */
export const WAY_LOST = new Set(['LINK_LOST', 'PATH_LOST', 'TUNNEL_DRAINING']);
/** Answers to ATTACH that say nothing about the conduit: later or elsewhere it may succeed. */
export const TRANSIENT = new Set(['OPEN_RATE', 'STREAM_CAP', 'TUNNEL_DRAINING', 'WINDOWS_EXHAUSTED']);
