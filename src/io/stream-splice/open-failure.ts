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

const FAILURES: ReadonlyMap<string, OpenFailure> = new Map([
  ['ADDRESS_NOT_MESH', { socksReply: NOT_ALLOWED, httpStatus: 403 }],
  ['SERVICE_UNKNOWN', { socksReply: HOST_UNREACHABLE, httpStatus: 404 }],
  ['TARGET_NOT_ALLOWED', { socksReply: NOT_ALLOWED, httpStatus: 403 }],
  ['NO_PATH', { socksReply: NETWORK_UNREACHABLE, httpStatus: 503 }],
  ['NODE_DRAINING', { socksReply: NETWORK_UNREACHABLE, httpStatus: 503 }],
  ['PATH_LOST', { socksReply: NETWORK_UNREACHABLE, httpStatus: 503 }],
  ['CIRCUIT_NO_LINK', { socksReply: NETWORK_UNREACHABLE, httpStatus: 503 }],
  ['TUNNEL_TIMEOUT', { socksReply: NETWORK_UNREACHABLE, httpStatus: 503 }],
  ['SERVICE_NOT_HERE', { socksReply: HOST_UNREACHABLE, httpStatus: 503 }],
  ['STREAM_CAP', { socksReply: GENERAL_FAILURE, httpStatus: 503 }],
  ['OPEN_RATE', { socksReply: GENERAL_FAILURE, httpStatus: 503 }],
  ['CIRCUIT_CAP', { socksReply: GENERAL_FAILURE, httpStatus: 503 }],
  ['WINDOWS_EXHAUSTED', { socksReply: GENERAL_FAILURE, httpStatus: 503 }],
  ['TARGET_REFUSED', { socksReply: CONNECTION_REFUSED, httpStatus: 502 }],
  ['TARGET_UNREACHABLE', { socksReply: HOST_UNREACHABLE, httpStatus: 502 }],
  ['TARGET_TIMEOUT', { socksReply: TTL_EXPIRED, httpStatus: 504 }],
]);

/** The protocols' own words for an error code; a code that they have no word for is a general failure. */
export function openFailure(code: string): OpenFailure {
  return FAILURES.get(code) ?? { socksReply: GENERAL_FAILURE, httpStatus: 502 };
}
