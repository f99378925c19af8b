import { readLeafFacts } from '#io/x509-asn1/leaf-facts.ts';
import { checkPeerLeaf } from '#trust/leaf.ts';
import { createTestCa } from '../../fixtures/test-ca.ts';
import { check, type FuzzTarget } from '../fuzz-target.ts';

export const leafFacts: FuzzTarget = {
  name: 'leaf-facts',
  corpus: async () => {
    const ca = await createTestCa();
    const leaf = await ca.issue({ name: 'rome' });
    const other = await ca.issue({ name: 'lima', twoSans: true });
    return [leaf.der, other.der, ca.issuerDer];
  },
  run(input) {
    const read = readLeafFacts(input);
    if (!read.ok) return false;
    const { trustDomain, wallMs } = { trustDomain: 'x0tta6bl4.mesh', wallMs: Date.now() };
    const identity = checkPeerLeaf(read.value, { trustDomain, wallMs, isRevoked: () => false });
    check(!identity.ok || identity.value.spiffeId.startsWith('spiffe://x0tta6bl4.mesh/'), 'of this mesh');
    return true;
  },
};
