import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { CodedError } from '#control/coded-error.ts';
import { parseHostPort } from '#io/edge-listener/host-port.ts';

/**
 * Lets a request pass that comes from where people are and carries the credential, else throws HOST_FOREIGN,
 * ORIGIN_FOREIGN or CREDENTIAL_WRONG. The first two keep web pages out: a rebound name is in Host, another page in Origin.
 */
export function guardAdmin(headers: IncomingHttpHeaders, token: string, ownHost: string): void {
  const host = headers.host ?? '';
  const named = parseHostPort(host)?.host ?? host;
  if (isIP(named) === 0 && named !== 'localhost' && named !== ownHost) {
    throw new CodedError('HOST_FOREIGN', 'ask the administration port by its address, not by another name');
  }
  if (headers.origin !== undefined && headers.origin !== `http://${host}`) {
    throw new CodedError('ORIGIN_FOREIGN', 'pages of other origins may not command this control plane');
  }
  const given = /^Bearer ([\x21-\x7e]{1,512})$/.exec(headers.authorization ?? '')?.[1] ?? '';
  if (!timingSafeEqual(digest(given), digest(token))) {
    throw new CodedError('CREDENTIAL_WRONG', 'send the content of admin.token as Authorization: Bearer');
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
