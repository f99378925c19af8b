import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Counters } from '#kernel/counters.ts';
import type { HostPort } from '../edge-listener/host-port.ts';
import {
  endWith,
  type Listener,
  openListener,
  remoteAddress,
  SOCKET_BUFFER_BYTES,
} from '../edge-listener/tcp-listener.ts';
import { createServer } from '../http-node/http.ts';
import { parseMeshHost } from '../stream-splice/mesh-address.ts';
import { openFailure } from '../stream-splice/open-failure.ts';
import { reset, splice } from '../stream-splice/splice.ts';
import {
  decisionOf,
  errorCode,
  errorText,
  StreamError,
  type StreamOpener,
  type StreamSource,
} from '../stream-splice/stream-opener.ts';
import { forwardRequest } from './forward-request.ts';

/** What an HTTP proxy needs. Refusals are counted as `http.<code>`. */
export interface HttpProxyOptions {
  readonly opener: StreamOpener;
  readonly counters: Counters;
  readonly headersTimeoutMs?: number;
}

/** More than any client of a proxy sends; node:http answers 431 above it. */
const MOST_HEADER_BYTES = 16 * 1024;
const HEADERS_TIMEOUT_MS = 10_000;
const CHECK_INTERVAL_MS = 1000;
const MOST_PORT = 65_535;

/** CONNECT to `SERVICE.mesh` on any port, and requests for `http://SERVICE.mesh/…`; everything else is refused with a JSON body. */
export async function openHttpProxy(at: HostPort, options: HttpProxyOptions): Promise<Listener> {
  const timeoutMs = options.headersTimeoutMs ?? HEADERS_TIMEOUT_MS;
  const server: Server = createServer({
    maxHeaderSize: MOST_HEADER_BYTES,
    headersTimeout: timeoutMs,
    requestTimeout: 0,
    connectionsCheckingInterval: Math.min(CHECK_INTERVAL_MS, timeoutMs),
    highWaterMark: SOCKET_BUFFER_BYTES,
    noDelay: true,
    requireHostHeader: false,
  });
  server.on('connect', (request, socket, head) => void connect(request, socket as Socket, head, options));
  server.on('request', (request, response) => void exchange(request, response, options));
  server.on('clientError', (error: Error, socket) => refuseMalformed(error, socket as Socket, options.counters));
  return await openListener(server, at);
}

async function connect(
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
  options: HttpProxyOptions,
): Promise<void> {
  socket.on('error', () => socket.destroy());
  socket.pause();
  if (head.byteLength > 0) socket.unshift(head);
  try {
    const stream = await options.opener.open(serviceOfAuthority(request.url ?? ''), sourceOf(request));
    if (socket.destroyed) {
      reset(stream, new StreamError('STREAM_RESET', 'the client left'));
      return;
    }
    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
    await splice(socket, stream);
  } catch (error) {
    const code = errorCode(error);
    options.counters.add(`http.${code}`);
    const decision = decisionOf(error);
    const body = errorBody(code, errorText(error), decision);
    endWith(socket, `${statusLine(statusOf(code))}${headersOf(body)}${decisionLine(decision)}\r\n${body}`);
  }
}

function sourceOf({ socket, headers }: IncomingMessage): StreamSource {
  const { traceparent } = headers;
  return { address: remoteAddress(socket), trace: typeof traceparent === 'string' ? traceparent : undefined };
}

function serviceOfAuthority(authority: string): string {
  const [, host = '', port = ''] = /^(.+):(\d{1,5})$/.exec(authority) ?? [];
  if (Number(port) < 1 || Number(port) > MOST_PORT)
    throw new StreamError('PROXY_FORM', 'CONNECT needs SERVICE.mesh:PORT, a port from 1 to 65535');
  return serviceOf(host);
}

function serviceOf(host: string): string {
  const service = parseMeshHost(host);
  if (service.ok) return service.value;
  throw new StreamError(service.error, 'this proxy serves SERVICE.mesh only');
}

async function exchange(request: IncomingMessage, response: ServerResponse, options: HttpProxyOptions): Promise<void> {
  try {
    // RFC 9110 §9.3.8: what comes back would show the client's own headers to whoever made it ask.
    if (request.method === 'TRACE') throw new StreamError('METHOD_NOT_ALLOWED', 'this proxy does not forward TRACE');
    const url = parseTarget(request);
    checkFraming(request);
    const stream = await options.opener.open(serviceOf(url.hostname), sourceOf(request));
    if (response.destroyed) {
      reset(stream, new StreamError('STREAM_RESET', 'the client left'));
      return;
    }
    try {
      await forwardRequest(request, response, url, stream);
    } catch (error) {
      stream.destroy();
      throw error;
    }
  } catch (error) {
    const code = errorCode(error);
    options.counters.add(`http.${code}`);
    refuse(response, statusOf(code), code, error);
  }
}

/** RFC 9112 §3.2.2: a proxy is asked by absolute form; an origin form is for a web server, which this is not. */
function parseTarget(request: IncomingMessage): URL {
  const target = request.url ?? '';
  if (!/^http:\/\//i.test(target) || !URL.canParse(target)) {
    throw new StreamError('PROXY_FORM', 'this is a proxy: ask it for http://SERVICE.mesh/ or use CONNECT');
  }
  if (/\bx0\b/.test(request.headers.via ?? ''))
    throw new StreamError('PROXY_LOOP', 'the request came through an x0 proxy');
  return new URL(target);
}

/** What proxy and service could read differently. */
function checkFraming({ headers, rawHeaders }: IncomingMessage): void {
  const hosts = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host');
  if (hosts.length > 1) throw new StreamError('HTTP_MALFORMED', 'two Host headers');
  const coding = headers['transfer-encoding'];
  if (coding !== undefined && coding.toLowerCase() !== 'chunked')
    throw new StreamError('HTTP_MALFORMED', 'no transfer coding but chunked');
}

const OWN_STATUSES: ReadonlyMap<string, number> = new Map([
  ['HTTP_MALFORMED', 400],
  ['PROXY_FORM', 400],
  ['METHOD_NOT_ALLOWED', 405],
  ['PROXY_LOOP', 508],
]);

function statusOf(code: string): number {
  return OWN_STATUSES.get(code) ?? openFailure(code).httpStatus;
}

function refuse(response: ServerResponse, status: number, code: string, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const decision = decisionOf(error);
  const body = errorBody(code, errorText(error), decision);
  response.writeHead(status, {
    ...(decision === undefined ? {} : { [DECISION_HEADER]: decision }),
    'content-type': 'application/json',
    'content-length': body.length,
    connection: 'close',
  });
  response.end(body);
}

function refuseMalformed(error: Error, socket: Socket, counters: Counters): void {
  const code = errorCode(error);
  if (code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, ours] = MALFORMED.get(code) ?? [400, 'HTTP_MALFORMED'];
  counters.add(`http.${ours}`);
  const body = errorBody(ours, 'the request could not be read');
  endWith(socket, `${statusLine(status)}${headersOf(body)}\r\n${body}`);
}

const MALFORMED: ReadonlyMap<string, readonly [number, string]> = new Map([
  ['HPE_HEADER_OVERFLOW', [431, 'HTTP_HEADERS_TOO_LARGE']],
  ['ERR_HTTP_REQUEST_TIMEOUT', [408, 'HTTP_TIMEOUT']],
]);

/** Names the decision of a denied stream. */
const DECISION_HEADER = 'x0-decision';

function decisionLine(decision: string | undefined): string {
  return decision === undefined ? '' : `${DECISION_HEADER}: ${decision}\r\n`;
}

function errorBody(code: string, message: string, decision?: string): string {
  const ascii = message.replaceAll(/[^\x20-\x7e]/g, '?');
  return `${JSON.stringify({ error: { code, message: ascii, ...(decision === undefined ? {} : { details: { decision } }) } })}\n`;
}

function statusLine(status: number): string {
  return `HTTP/1.1 ${status} Refused\r\n`;
}

function headersOf(body: string): string {
  return `content-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n`;
}
