import { generateKeyPair } from '#io/x509-asn1/keys.ts';
import { createCsr } from '#io/x509-asn1/request.ts';
import { readCsr } from '#io/x509-peculiar/request.ts';
import { check, type FuzzTarget } from '../fuzz-target.ts';

export const request: FuzzTarget = {
  name: 'request',
  corpus: () => [createCsr(generateKeyPair('ml-dsa-65'))],
  async run(input) {
    const read = await readCsr(input);
    if (read.ok) check(read.value.asymmetricKeyType === 'ml-dsa-65', 'only ML-DSA-65');
    return read.ok;
  },
};
