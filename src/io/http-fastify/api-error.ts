import type { FastifyBaseLogger, FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { codeOf } from '#kernel/code-of.ts';
import type { Counters } from '#kernel/counters.ts';
import type { Result } from '#kernel/result.ts';
import { CodedError } from '#control/coded-error.ts';
import type { Refusal } from '#control/refusal.ts';
import { endWith } from '#io/edge-listener/tcp-listener.ts';
import { STATUS_CODES } from '#io/http-node/http.ts';

const STATUSES: ReadonlyMap<string, number> = new Map([
  ['NODE_UNKNOWN', 404],
  ['POLICY_UNKNOWN', 404],
  ['DECISION_UNKNOWN', 404],
  ['POLICY_CHANGED', 409],
  ['POLICY_LIMIT', 409],
  ['POLICY_NOT_FOR_PRODUCTION', 403],
  ['POLICY_SYNTAX', 422],
  ['POLICY_SCHEMA', 422],
  ['POLICY_TOO_LARGE', 422],
  ['POLICY_TOO_COMPLEX', 422],
  ['SERVICE_UNKNOWN', 404],
  ['FORWARD_UNKNOWN', 404],
  ['NOT_FOUND', 404],
  ['QUESTION_UNKNOWN', 404],
  ['METHOD_NOT_ALLOWED', 405],
  ['HTTP_TIMEOUT', 408],
  ['FORWARD_ADDRESS_TAKEN', 409],
  ['FORWARD_EXISTS', 409],
  ['NODE_NOT_DRAINING', 409],
  ['PORT_IN_USE', 409],
  ['PORT_NOT_ALLOWED', 409],
  ['ADDRESS_NOT_HERE', 409],
  ['TARGET_NOT_ALLOWED', 409],
  ['NODE_REVOKED', 403],
  ['ACTION_DENIED', 403],
  ['RIGHTS_EXCEEDED', 403],
  ['CODE_WRONG', 403],
  ['LOGIN_WRONG', 401],
  ['LOGIN_TOO_OFTEN', 429],
  ['HASH_BUSY', 503],
  ['USER_EXISTS', 409],
  ['USER_UNKNOWN', 404],
  ['USER_NAME_INVALID', 422],
  ['PASSWORD_WEAK', 422],
  ['LAST_ADMIN', 409],
  ['SESSION_NEEDED', 409],
  ['INVITATION_UNKNOWN', 404],
  ['API_KEY_UNKNOWN', 404],
  ['IDEMPOTENCY_BUSY', 409],
  ['IDEMPOTENCY_DIFFERS', 422],
  ['IDEMPOTENCY_SEALED', 409],
  ['ORIGIN_FOREIGN', 403],
  ['HOST_FOREIGN', 421],
  ['CREDENTIAL_WRONG', 401],
  ['TOKEN_UNKNOWN', 403],
  ['TOKEN_USED', 403],
  ['TOKEN_EXPIRED', 403],
  ['TOKEN_WRONG_NODE', 403],
  ['BODY_TOO_LARGE', 413],
  ['MEDIA_TYPE_UNSUPPORTED', 415],
  ['INPUT_INVALID', 422],
  ['CURSOR_INVALID', 422],
  ['NAME_INVALID', 422],
  ['ADDRESS_INVALID', 422],
  ['LABELS_INVALID', 422],
  ['LINKS_INVALID', 422],
  ['TTL_INVALID', 422],
  ['RATE_LIMITED', 429],
  ['HTTP_HEADERS_TOO_LARGE', 431],
  ['LIMIT_REACHED', 507],
  ['DISK_FULL', 507],
  ['DATA_DIR_UNUSABLE', 500],
  ['DATA_DAMAGED', 500],
  ['DATABASE_DOWN', 503],
  ['DATABASE_TIMEOUT', 503],
  ['DATABASE_BUSY', 503],
  ['AUDIT_BUSY', 503],
  ['NODE_DOWN', 503],
  ['ISSUER_PENDING', 503],
  ['JOIN_PENDING', 409],
  ['JOIN_DENIED', 403],
  ['REQUEST_UNKNOWN', 404],
  ['NODE_BUSY', 503],
  ['NODE_TIMEOUT', 504],
  ['NO_PATH', 503],
  ['PATH_LOST', 503],
  ['LINK_LOST', 503],
  ['CIRCUIT_NO_LINK', 503],
  ['TUNNEL_TIMEOUT', 504],
  ['INTERNAL', 500],
]);

/** The fault is not the caller's, so the log says more than the answer. */
const OWN_FAILURES: ReadonlySet<string> = new Set([
  'INTERNAL',
  'DISK_FULL',
  'DATA_DIR_UNUSABLE',
  'DATA_DAMAGED',
  'DATABASE_DOWN',
  'DATABASE_TIMEOUT',
  'DATABASE_BUSY',
]);

/** HTTP status for a code: certificates are 401, malformed input is 400 unless listed. */
export function statusOf(code: string): number {
  return STATUSES.get(code) ?? (code.startsWith('CERT_') ? 401 : 400);
}

/** The value, or the refusal as an error that becomes the envelope. */
export function demandOk<T>(result: Result<T, Refusal>): T {
  if (result.ok) return result.value;
  throw new CodedError(result.error.code, result.error.message);
}

/** For fastify's own lines: it calls a server that speaks TLS `http://`, and what listens where is said elsewhere. */
export function quietLog(log: FastifyBaseLogger): FastifyBaseLogger {
  return log.level === 'silent' ? log : log.child({}, { level: 'warn' });
}

/** A refusal that says more than its code: what is wrong where, or when to come back. */
export class DetailedError extends CodedError {
  readonly details: Readonly<Record<string, unknown>> | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(
    code: string,
    message: string,
    more: { readonly details?: Readonly<Record<string, unknown>>; readonly retryAfterMs?: number },
  ) {
    super(code, message);
    this.details = more.details;
    this.retryAfterMs = more.retryAfterMs;
  }
}

/** What is answered where no route is. */
export type NotFound = (request: FastifyRequest, reply: FastifyReply) => CodedError;

const nothingHere: NotFound = () => new CodedError('NOT_FOUND', 'there is nothing here');

/** Every error of the API has one shape: `{error: {code, message, details?, traceId}}`; `refused` counts them by code. */
export function useErrorEnvelope(server: FastifyInstance, refused: Counters, notFound = nothingHere): void {
  // Nothing here takes text; as long as it is parsed, it is refused for its form and not for its type.
  server.removeContentTypeParser('text/plain');
  server.setNotFoundHandler(async (request, reply) => sendError(reply, request.id, notFound(request, reply)));
  server.setErrorHandler(async (error: FastifyError | CodedError, request, reply) => {
    const { code } = error instanceof CodedError ? error : describe(error);
    refused.add(code);
    if (OWN_FAILURES.has(code)) request.log.error({ err: error }, 'a request failed');
    return sendError(reply, request.id, error);
  });
}

function sendError(reply: FastifyReply, traceId: string, error: FastifyError | CodedError): FastifyReply {
  const { code, message } = error instanceof CodedError ? error : describe(error);
  if (!(error instanceof DetailedError)) return send(reply, traceId, code, message);
  const { details, retryAfterMs } = error;
  if (retryAfterMs !== undefined) reply.header('retry-after', Math.max(1, Math.ceil(retryAfterMs / 1_000)));
  return send(reply, traceId, code, message, details);
}

/** The envelope for what fails before there is a route; options of `fastify()`. */
export const ENVELOPE_OPTIONS = {
  frameworkErrors: (error: FastifyError, request: FastifyRequest, reply: FastifyReply): void => {
    const { code, message } = describe(error);
    void send(reply, request.id, code, message);
  },
  clientErrorHandler: refuseMalformed,
};

/** Answers what is no HTTP request with the envelope; a handler of `clientError`. */
export function refuseMalformed(error: Error, socket: Socket): void {
  const parserCode = codeOf(error) ?? '';
  // A failed TLS handshake comes here too, and there is nobody to tell.
  if (!/^(?:HPE_|ERR_HTTP_)/.test(parserCode) || !socket.writable) {
    socket.destroy();
    return;
  }
  const code = MALFORMED.get(parserCode) ?? 'HTTP_MALFORMED';
  const status = statusOf(code);
  const envelope = { error: { code, message: 'the request could not be read', traceId: randomUUID() } };
  const body = JSON.stringify(envelope);
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\ncontent-type: application/json\r\n`;
  endWith(socket, `${head}content-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`);
}

const MALFORMED: ReadonlyMap<string, string> = new Map([
  ['HPE_HEADER_OVERFLOW', 'HTTP_HEADERS_TOO_LARGE'],
  ['ERR_HTTP_REQUEST_TIMEOUT', 'HTTP_TIMEOUT'],
]);

function describe(error: FastifyError): { code: string; message: string } {
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return { code: 'BODY_TOO_LARGE', message: 'the body is too large' };
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return { code: 'MEDIA_TYPE_UNSUPPORTED', message: 'send application/json' };
  if (error.code === 'FST_ERR_BAD_URL') return { code: 'REQUEST_INVALID', message: 'the URL cannot be read' };
  const status = error.statusCode ?? 500;
  if (status >= 500)
    return { code: 'INTERNAL', message: 'the control plane failed; its log says why, by the trace id' };
  return { code: 'REQUEST_INVALID', message: error.message };
}

function send(
  reply: FastifyReply,
  traceId: string,
  code: string,
  message: string,
  details?: Readonly<Record<string, unknown>>,
): FastifyReply {
  return reply.code(statusOf(code)).send({ error: { code, message, ...(details && { details }), traceId } });
}
