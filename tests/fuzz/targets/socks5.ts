import { MOST_HANDSHAKE_BYTES, parseGreeting, parseRequest } from '#io/socks5-proxy/socks5-codec.ts';
import { parseMeshHost } from '#io/stream-splice/mesh-address.ts';
import { check, checkSame, type FuzzTarget, utf8 } from '../fuzz-target.ts';

const NAME = utf8('hello.mesh');
const GREETING = [5, 2, 0, 2];
const REQUEST = [5, 1, 0, 3, NAME.byteLength, ...NAME, 0, 80];

export const socks5: FuzzTarget = {
  name: 'socks5',
  corpus: () => [Uint8Array.of(...GREETING, ...REQUEST), Uint8Array.of(5, 1, 0, ...REQUEST, 1, 2, 3)],
  run(input) {
    const greeting = parseGreeting(input);
    if (greeting.kind === 'incomplete') check(input.byteLength < MOST_HANDSHAKE_BYTES, 'enough is enough');
    if (greeting.kind !== 'greeting') return false;
    check(greeting.length <= Math.min(257, input.byteLength), 'within the input');
    const rest = input.subarray(greeting.length);
    const read = parseRequest(rest);
    if (read.kind === 'incomplete') check(rest.byteLength < MOST_HANDSHAKE_BYTES, 'enough is enough');
    if (read.kind !== 'connect') return false;
    check(read.length <= rest.byteLength && read.port <= 65_535 && read.host.length <= 255, 'within the input');
    checkSame(parseRequest(rest.subarray(0, read.length)), read, 'nothing after it counts');
    const service = parseMeshHost(read.host);
    check(!service.ok || /^[a-z0-9-]{1,63}$/.test(service.value), 'a name');
    return true;
  },
};
