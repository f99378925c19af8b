import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { CodedError } from '#control/coded-error.ts';
import { parseHostPort } from '#io/edge-listener/host-port.ts';

/**
 * Lets a request pass that comes from where people are, else throws HOST_FOREIGN or ORIGIN_FOREIGN. This keeps web pages
 * out: a rebound name is in Host, another page in Origin.
 */
export function guardOrigin(headers: IncomingHttpHeaders, ownHost: string): void {
  const host = headers.host ?? '';
  const named = parseHostPort(host)?.host ?? host;
  if (isIP(named) === 0 && named !== 'localhost' && named !== ownHost) {
    throw new CodedError('HOST_FOREIGN', 'ask the administration port by its address, not by another name');
  }
  if (headers.origin !== undefined && headers.origin !== `http://${host}`) {
    throw new CodedError('ORIGIN_FOREIGN', 'pages of other origins may not command this control plane');
  }
}

/** As {@link guardOrigin}, and the request must carry the credential, else CREDENTIAL_WRONG. */
export function guardAdmin(headers: IncomingHttpHeaders, token: string, ownHost: string): void {
  guardOrigin(headers, ownHost);
  if (!isSameSecret(readBearer(headers), token)) {
    throw new CodedError('CREDENTIAL_WRONG', 'send the content of admin.token as Authorization: Bearer');
  }
}

/** What `Authorization: Bearer` carries; empty when there is none, or none that could be ours. */
export function readBearer(headers: IncomingHttpHeaders): string {
  return /^Bearer ([\x21-\x7e]{1,512})$/.exec(headers.authorization ?? '')?.[1] ?? '';
}

/** Compares in constant time. */
export function isSameSecret(given: string, secret: string): boolean {
  return timingSafeEqual(digest(given), digest(secret));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
