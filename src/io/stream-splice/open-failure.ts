/** What a client of a proxy is told about a stream that could not be opened. */
export interface OpenFailure {
  /** RFC 1928 §6 reply. */
  readonly socksReply: number;
  readonly httpStatus: number;
}

const NOT_ALLOWED = 0x02;
const NETWORK_UNREACHABLE = 0x03;
const HOST_UNREACHABLE = 0x04;
const CONNECTION_REFUSED = 0x05;
const TTL_EXPIRED = 0x06;
const GENERAL_FAILURE = 0x01;

/** Nothing leads there now; later something may. */
const NO_WAY: OpenFailure = { socksReply: NETWORK_UNREACHABLE, httpStatus: 503 };
/** There is no room now. */
const LIMIT: OpenFailure = { socksReply: GENERAL_FAILURE, httpStatus: 503 };

const FAILURES: ReadonlyMap<string, OpenFailure> = new Map([
  ['ADDRESS_NOT_MESH', { socksReply: NOT_ALLOWED, httpStatus: 403 }],
  ['SERVICE_UNKNOWN', { socksReply: HOST_UNREACHABLE, httpStatus: 404 }],
  ['POLICY_DENIED', { socksReply: NOT_ALLOWED, httpStatus: 403 }],
  ['SNAPSHOT_STALE', NO_WAY],
  ['TARGET_NOT_ALLOWED', { socksReply: NOT_ALLOWED, httpStatus: 403 }],
  ['NO_PATH', NO_WAY],
  ['NODE_DRAINING', NO_WAY],
  ['LINK_LOST', NO_WAY],
  ['PATH_LOST', NO_WAY],
  ['CIRCUIT_NO_LINK', NO_WAY],
  ['TUNNEL_DRAINING', NO_WAY],
  ['TUNNEL_TIMEOUT', NO_WAY],
  ['SERVICE_NOT_HERE', { socksReply: HOST_UNREACHABLE, httpStatus: 503 }],
  ['STREAM_CAP', LIMIT],
  ['STREAM_IDS_EXHAUSTED', LIMIT],
  ['OPEN_RATE', LIMIT],
  ['CIRCUIT_CAP', LIMIT],
  ['CONDUIT_CAP', LIMIT],
  ['HANDSHAKE_CAP', LIMIT],
  ['TUNNEL_BACKLOG', LIMIT],
  ['WINDOWS_EXHAUSTED', LIMIT],
  ['TARGET_REFUSED', { socksReply: CONNECTION_REFUSED, httpStatus: 502 }],
  ['TARGET_UNKNOWN_HOST', { socksReply: HOST_UNREACHABLE, httpStatus: 502 }],
  ['TARGET_UNREACHABLE', { socksReply: HOST_UNREACHABLE, httpStatus: 502 }],
  ['TARGET_TIMEOUT', { socksReply: TTL_EXPIRED, httpStatus: 504 }],
]);

/** The protocols' own words for an error code; a code that they have no word for is a general failure. */
export function openFailure(code: string): OpenFailure {
  return FAILURES.get(code) ?? { socksReply: GENERAL_FAILURE, httpStatus: 502 };
}
