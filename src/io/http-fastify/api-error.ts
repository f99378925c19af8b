import type { FastifyError, FastifyInstance, FastifyReply } from 'fastify';
import type { Counters } from '#kernel/counters.ts';
import type { Result } from '#kernel/result.ts';
import { CodedError } from '#control/coded-error.ts';
import type { Refusal } from '#control/refusal.ts';

const STATUSES: Readonly<Record<string, number>> = {
  NODE_UNKNOWN: 404,
  SERVICE_UNKNOWN: 404,
  FORWARD_UNKNOWN: 404,
  NOT_FOUND: 404,
  QUESTION_UNKNOWN: 404,
  METHOD_NOT_ALLOWED: 405,
  FORWARD_ADDRESS_TAKEN: 409,
  FORWARD_EXISTS: 409,
  PORT_IN_USE: 409,
  PORT_NOT_ALLOWED: 409,
  ADDRESS_NOT_HERE: 409,
  TARGET_NOT_ALLOWED: 409,
  NODE_REVOKED: 403,
  ORIGIN_FOREIGN: 403,
  HOST_FOREIGN: 421,
  CREDENTIAL_WRONG: 401,
  TOKEN_UNKNOWN: 403,
  TOKEN_USED: 403,
  TOKEN_EXPIRED: 403,
  TOKEN_WRONG_NODE: 403,
  BODY_TOO_LARGE: 413,
  RATE_LIMITED: 429,
  LIMIT_REACHED: 507,
  NODE_DOWN: 503,
  NODE_BUSY: 503,
  NODE_TIMEOUT: 504,
  NO_PATH: 503,
  PATH_LOST: 503,
  LINK_LOST: 503,
  CIRCUIT_NO_LINK: 503,
  TUNNEL_TIMEOUT: 504,
  INTERNAL: 500,
};

/** HTTP status for a code: certificates are 401, malformed input is 400 unless listed. */
export function statusOf(code: string): number {
  return STATUSES[code] ?? (code.startsWith('CERT_') ? 401 : 400);
}

/** The value, or the refusal as an error that becomes the envelope. */
export function demandOk<T>(result: Result<T, Refusal>): T {
  if (result.ok) return result.value;
  throw new CodedError(result.error.code, result.error.message);
}

/** Every error of the API has one shape: `{error: {code, message, traceId}}`; `refused` counts them by code. */
export function useErrorEnvelope(server: FastifyInstance, refused: Counters): void {
  server.setNotFoundHandler(async (request, reply) => send(reply, request.id, 'NOT_FOUND', 'there is nothing here'));
  server.setErrorHandler(async (error: FastifyError | CodedError, request, reply) => {
    const { code, message } = error instanceof CodedError ? error : describe(error);
    refused.add(code);
    if (code === 'INTERNAL') request.log.error({ err: error }, 'a request failed');
    return send(reply, request.id, code, message);
  });
}

function describe(error: FastifyError): { code: string; message: string } {
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return { code: 'BODY_TOO_LARGE', message: 'the body is too large' };
  const status = error.statusCode ?? 500;
  if (status >= 500)
    return { code: 'INTERNAL', message: 'the control plane failed; its log says why, by the trace id' };
  return { code: 'REQUEST_INVALID', message: error.message };
}

function send(reply: FastifyReply, traceId: string, code: string, message: string): FastifyReply {
  return reply.code(statusOf(code)).send({ error: { code, message, traceId } });
}
