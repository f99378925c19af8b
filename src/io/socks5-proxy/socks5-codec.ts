/** RFC 1928: what a client's bytes are so far. `length` is how many of them the message took. */
export type Greeting =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'not-socks5' }
  | { readonly kind: 'greeting'; readonly length: number; readonly offersNoAuthentication: boolean };

/** The request after the greeting; `refused` carries the reply of §6. */
export type Request =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'not-socks5' }
  | { readonly kind: 'refused'; readonly reply: number; readonly code: string }
  | { readonly kind: 'connect'; readonly length: number; readonly host: string; readonly port: number };

const VERSION = 5;
const CONNECT = 1;
const IPV4 = 1;
const DOMAIN = 3;
const IPV6 = 4;
const NO_AUTHENTICATION = 0;

/** A greeting is at most 2 + 255 bytes, a request 4 + 1 + 255 + 2. A client may send both at once. */
export const MOST_HANDSHAKE_BYTES = 2 + 255 + 262;

/** §3: the method reply that accepts "no authentication", and the one that accepts none. */
export const METHOD_ACCEPTED = Uint8Array.of(VERSION, NO_AUTHENTICATION);
export const METHOD_REFUSED = Uint8Array.of(VERSION, 0xff);
/** Replies of §6. */
export const SUCCEEDED = 0x00;
export const NOT_ALLOWED = 0x02;
const COMMAND_NOT_SUPPORTED = 0x07;
const ADDRESS_TYPE_NOT_SUPPORTED = 0x08;

/** Reads a client's greeting from the start of `bytes`. */
export function parseGreeting(bytes: Uint8Array): Greeting {
  const [version, count] = bytes;
  if (version !== undefined && version !== VERSION) return { kind: 'not-socks5' };
  if (count === undefined || bytes.byteLength < 2 + count) return { kind: 'incomplete' };
  const methods = bytes.subarray(2, 2 + count);
  return { kind: 'greeting', length: 2 + count, offersNoAuthentication: methods.includes(NO_AUTHENTICATION) };
}

/** Reads a client's request from the start of `bytes`. Only CONNECT to a domain name is served. */
export function parseRequest(bytes: Uint8Array): Request {
  const [version, command, , addressType, nameLength] = bytes;
  if (version !== undefined && version !== VERSION) return { kind: 'not-socks5' };
  if (command === undefined || addressType === undefined) return { kind: 'incomplete' };
  if (command !== CONNECT) return { kind: 'refused', reply: COMMAND_NOT_SUPPORTED, code: 'SOCKS_COMMAND' };
  if (addressType === IPV4 || addressType === IPV6) {
    return { kind: 'refused', reply: NOT_ALLOWED, code: 'ADDRESS_NOT_MESH' };
  }
  if (addressType !== DOMAIN) return { kind: 'refused', reply: ADDRESS_TYPE_NOT_SUPPORTED, code: 'SOCKS_ADDRESS_TYPE' };
  if (nameLength === undefined) return { kind: 'incomplete' };
  const length = 5 + nameLength + 2;
  if (bytes.byteLength < length) return { kind: 'incomplete' };
  const host = String.fromCharCode(...bytes.subarray(5, 5 + nameLength));
  const port = (bytes[length - 2] ?? 0) * 256 + (bytes[length - 1] ?? 0);
  return { kind: 'connect', length, host, port };
}

/** §6 reply; the bound address means nothing in a mesh and is 0.0.0.0:0. */
export function encodeReply(reply: number): Uint8Array {
  return Uint8Array.of(VERSION, reply, 0, IPV4, 0, 0, 0, 0, 0, 0);
}
