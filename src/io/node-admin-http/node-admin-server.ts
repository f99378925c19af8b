import type { IncomingMessage, ServerResponse } from 'node:http';
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { CodedError } from '#control/coded-error.ts';
import { guardAdmin } from '#io/api-fastify/guard.ts';
import type { HostPort } from '#io/edge-listener/host-port.ts';
import { type Listener, openListener } from '#io/edge-listener/tcp-listener.ts';
import { EXPOSITION_TYPE, type Metric, writeExposition } from '#io/metrics-text/exposition.ts';
import { createServer } from '#io/http-node/http.ts';
import { refuseMalformed, statusOf } from '#io/http-fastify/api-error.ts';

export interface NodeAdminOptions {
  /** The credential that every request must carry. */
  readonly token: string;
  /** Answers `GET /api/v1/<question>?name=value`. */
  readonly answer: (question: string, args: Readonly<Record<string, string>>) => Promise<unknown>;
  /** Answers `GET /metrics`. */
  readonly metrics: readonly Metric[];
}

const PREFIX = '/api/v1/';
const JSON_TYPE = 'application/json';

/** A node's own administration port: reads only, loopback unless told otherwise, for the holder of the node's data directory. */
export async function openNodeAdmin(at: HostPort, options: NodeAdminOptions): Promise<Listener> {
  const server = createServer(
    { maxHeaderSize: 8_192, headersTimeout: 5_000, requestTimeout: 5_000 },
    (request, response) => {
      request.resume();
      respond(request, response, at.host, options).catch((error: unknown) => fail(response, error));
    },
  );
  server.on('clientError', (error: Error, socket) => refuseMalformed(error, socket as Socket));
  return await openListener(server, at);
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  ownHost: string,
  options: NodeAdminOptions,
): Promise<void> {
  guardAdmin(request.headers, options.token, ownHost);
  if (request.method !== 'GET') throw new CodedError('METHOD_NOT_ALLOWED', 'a node’s administration port only reads');
  const url = parseUrl(request.url ?? '/');
  if (url.pathname === '/metrics') return send(response, EXPOSITION_TYPE, writeExposition(options.metrics));
  if (!url.pathname.startsWith(PREFIX))
    throw new CodedError('QUESTION_UNKNOWN', 'ask /metrics, or /api/v1/status, peers, streams, path or ping');
  const answer = await options.answer(url.pathname.slice(PREFIX.length), Object.fromEntries(url.searchParams));
  send(response, JSON_TYPE, JSON.stringify(answer));
}

function parseUrl(target: string): URL {
  const url = URL.parse(target, 'http://node');
  if (url === null) throw new CodedError('REQUEST_INVALID', 'the URL cannot be read');
  const names = [...url.searchParams.keys()];
  if (new Set(names).size < names.length) throw new CodedError('REQUEST_INVALID', 'a parameter comes twice');
  return url;
}

function fail(response: ServerResponse, error: unknown): void {
  const code = error instanceof CodedError ? error.code : 'INTERNAL';
  const message = code === 'INTERNAL' || !(error instanceof Error) ? 'the node failed to answer' : error.message;
  const traceId = randomBytes(16).toString('hex');
  send(response, JSON_TYPE, JSON.stringify({ error: { code, message, traceId } }), statusOf(code));
}

function send(response: ServerResponse, contentType: string, body: string, status = 200): void {
  response.writeHead(status, {
    'content-type': contentType,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(body);
}
