import { decodeProxyHeader, encodeProxyHeader } from '#io/proxy-protocol/proxy-header.ts';
import { check, checkSame, type FuzzTarget } from '../fuzz-target.ts';

export const proxyHeader: FuzzTarget = {
  name: 'proxy-header',
  corpus: () => [encodeProxyHeader({ spiffeId: 'spiffe://x0tta6bl4.mesh/node/rome', service: 'hello' })],
  run(input) {
    const read = decodeProxyHeader(input);
    if (!read.ok) return false;
    const { spiffeId, service, length } = read.value;
    check(length <= input.byteLength && fillsExactly(input.subarray(16, length)), 'within the input');
    if (spiffeId.length + service.length < 1_000) {
      const again = decodeProxyHeader(encodeProxyHeader({ spiffeId, service }));
      checkSame(again.ok ? [again.value.spiffeId, again.value.service] : again, [spiffeId, service], 'again');
    }
    return true;
  },
};

/** Whether the values end where the header does. */
function fillsExactly(values: Uint8Array): boolean {
  const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
  let at = 0;
  while (at + 3 <= values.byteLength) at += 3 + view.getUint16(at + 1);
  return at === values.byteLength;
}
