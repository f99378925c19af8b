import { controlSpiffeId, nodeSpiffeId, parseSpiffeId } from '#trust/identity.ts';
import { check, type FuzzTarget, textOf, utf8 } from '../fuzz-target.ts';

export const spiffeId: FuzzTarget = {
  name: 'spiffe-id',
  corpus: () => [utf8('spiffe://x0tta6bl4.mesh/node/rome'), utf8('spiffe://x0tta6bl4.mesh/control/main')],
  run(input) {
    const read = parseSpiffeId(textOf(input));
    if (!read.ok) return false;
    const { trustDomain, role, name, uri } = read.value;
    const again = role === 'node' ? nodeSpiffeId(trustDomain, name) : controlSpiffeId(trustDomain, name);
    check(again === uri && uri === textOf(input), 'one spelling only');
    return true;
  },
};
