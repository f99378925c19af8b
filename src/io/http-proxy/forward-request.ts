import {
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as startRequest,
  type ServerResponse,
} from 'node:http';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { StreamError } from '../stream-splice/stream-opener.ts';

/** RFC 9110 §7.6.1: they speak about one connection and are not forwarded. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);

/** Sends one request over `stream` and its answer back. Rejects while nothing of an answer was sent. */
export async function forwardRequest(
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  stream: Duplex,
): Promise<void> {
  const upstream = startRequest({
    createConnection: () => stream,
    method: request.method ?? 'GET',
    path: `${url.pathname}${url.search}`,
    headers: { ...forwardedHeaders(request), host: url.host, via: '1.1 x0', connection: 'close' },
    setHost: false,
  });
  response.once('close', () => {
    if (!response.writableFinished) stream.destroy(new StreamError('STREAM_RESET', 'the client left'));
  });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    upstream.once('response', resolve);
    upstream.once('error', (error) => reject(new StreamError('UPSTREAM_FAILED', error.message)));
  });
  const [answer] = await Promise.all([answered, pipeline(request, upstream)]);
  response.writeHead(answer.statusCode ?? 502, endToEndHeaders(answer.headers, answer.headers.connection));
  await pipeline(answer, response);
}

function forwardedHeaders(request: IncomingMessage): IncomingHttpHeaders {
  const headers = endToEndHeaders(request.headers, request.headers.connection);
  // Without a length the body is sent in chunks; a request without a body has neither.
  if (request.headers['transfer-encoding'] !== undefined) headers['transfer-encoding'] = 'chunked';
  return headers;
}

function endToEndHeaders(headers: IncomingHttpHeaders, connection: string | undefined): IncomingHttpHeaders {
  const named = new Set((connection ?? '').toLowerCase().split(/\s*,\s*/));
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.has(name) && !named.has(name)));
}
