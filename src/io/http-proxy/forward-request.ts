import type { ClientRequest, IncomingHttpHeaders, IncomingMessage, OutgoingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { request as startRequest } from '../http-node/http.ts';
import { StreamError } from '../stream-splice/stream-opener.ts';

/** RFC 9110 §7.6.1: they speak about one connection and are not forwarded; nor are trailers, so neither is their announcement. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** 1xx are interim; less is none. */
const LEAST_FINAL_STATUS = 200;
/** How long a client may take to notice that its upload is not wanted any more. */
const FAREWELL_MS = 1000;

/**
 * Sends one request over `stream` and its answer back, which may begin before the request has ended. Rejects while
 * nothing of an answer was sent.
 */
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
    upstream.on('error', (error) => reject(new StreamError('UPSTREAM_FAILED', error.message)));
    // Of an upgrade that nobody asked for there is no other word.
    upstream.once('close', () => reject(new StreamError('UPSTREAM_FAILED', 'the service ended without an answer')));
  });
  // Nobody waits for it yet, and what fails before somebody does fails by itself.
  answered.catch(() => undefined);
  // Else the headers would wait for the first of the body, and a server that speaks first for ever.
  if (hasBody(request)) sendHeaders(upstream);
  request.pipe(upstream);
  const answer = await answered;
  checkAnswer(answer);
  const headers = endToEndHeaders(answer.headers, answer.headers.connection);
  response.writeHead(answer.statusCode ?? 502, {
    ...headers,
    ...(request.readableEnded ? {} : { connection: 'close' }),
  });
  sendHeaders(response);
  await pipeline(answer, response, { end: false });
  if (!request.readableEnded) await endUpload(request, upstream);
  response.end();
}

/** Their bytes as they came, where `flushHeaders` would make UTF-8 of Latin-1. */
function sendHeaders(message: OutgoingMessage): void {
  message.write('', 'latin1');
}

/** An answer that could not be passed on as it was meant. */
function checkAnswer({ statusCode = 0, headers }: IncomingMessage): void {
  if (statusCode < LEAST_FINAL_STATUS) throw new StreamError('UPSTREAM_FAILED', `the service answered ${statusCode}`);
  const coding = headers['transfer-encoding'];
  if (coding !== undefined && coding.toLowerCase() !== 'chunked')
    throw new StreamError('UPSTREAM_FAILED', 'the service used a transfer coding other than chunked');
}

/** What the client still sends is read for a while: closing on it would reset the connection, and the answer be lost. */
async function endUpload(request: IncomingMessage, upstream: ClientRequest): Promise<void> {
  request.unpipe(upstream);
  upstream.destroy();
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, FAREWELL_MS);
  request.once('close', resolve);
  request.resume();
  await promise;
  clearTimeout(timer);
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || headers['content-length'] !== undefined;
}

function forwardedHeaders(request: IncomingMessage): IncomingHttpHeaders {
  const headers = endToEndHeaders(request.headers, request.headers.connection);
  // Without a length the body is sent in chunks; a request without a body has neither.
  if (request.headers['transfer-encoding'] !== undefined) headers['transfer-encoding'] = 'chunked';
  return headers;
}

function endToEndHeaders(headers: IncomingHttpHeaders, connection: string | undefined): IncomingHttpHeaders {
  const named = new Set((connection ?? '').toLowerCase().split(/\s*,\s*/));
  // Who takes the length away makes the body the next request (RFC 9110 §7.6.1: not for fields that are for all).
  named.delete('content-length');
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.has(name) && !named.has(name)));
}
