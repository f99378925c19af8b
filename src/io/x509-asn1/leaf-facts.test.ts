import 'reflect-metadata';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import type { JsonGeneralNames } from '@peculiar/x509';
import { beforeAll, describe, expect, test } from 'vitest';
import { concatBytes } from '#kernel/bytes.ts';
import { SeededRandom } from '#kernel/random.ts';
import type { LeafFacts } from '#trust/leaf.ts';
import { generateKeyPair } from '#io/x509-asn1/keys.ts';
import { readLeafFacts } from '#io/x509-asn1/leaf-facts.ts';
import { toSignKey, toVerifyKey } from '#io/x509-peculiar/keys.ts';
import { readWithPeculiar } from '../../../tests/fixtures/peculiar-facts.ts';
import type { ExtensionFacts } from '../../../tests/fixtures/peculiar-facts.ts';
import { createTestCa } from '../../../tests/fixtures/test-ca.ts';
import type { TestCa, TestLeafRequest } from '../../../tests/fixtures/test-ca.ts';
import { Mutator } from '../../../tests/fuzz/mutator.ts';

const UNREADABLE = { ok: false, error: 'CERT_UNREADABLE' };
/** Where a certificate's names and key end, and how much follows its extensions: the signature. */
const [EXTENSIONS_AT, AFTER_EXTENSIONS] = [2060, 3325];
const URI = 'spiffe://x0tta6bl4.mesh/node/oslo';

let ca: TestCa;
beforeAll(async () => {
  ca = await createTestCa();
});

function read(der: Uint8Array): LeafFacts {
  const facts = readLeafFacts(der);
  if (!facts.ok) throw new Error(facts.error);
  return facts.value;
}

function extensionFacts({ uris, otherNames, isCa, keyUsages, extendedKeyUsages }: LeafFacts): ExtensionFacts {
  return { uris, otherNames, isCa, keyUsages, extendedKeyUsages };
}

async function certificateWith(extensions: Extension[]): Promise<Uint8Array> {
  const keys = generateKeyPair('ml-dsa-65');
  const made = await X509CertificateGenerator.createSelfSigned({
    keys: { publicKey: toVerifyKey(keys.publicKey), privateKey: toSignKey(keys.privateKey) },
    signingAlgorithm: { name: 'ML-DSA-65' },
    extensions,
  });
  return new Uint8Array(made.rawData);
}

function names(...list: JsonGeneralNames): Extension {
  return new SubjectAlternativeNameExtension(list);
}

describe('two libraries read the same', () => {
  test.each<[string, Omit<TestLeafRequest, 'name'>]>([
    ['a proper leaf', {}],
    ['two URIs', { twoSans: true }],
    ['no URI', { noSan: true }],
    ['a CA', { caLeaf: true }],
    ['a classical key', { classical: true }],
    ['another key usage', { wrongKeyUsage: true }],
    ['one purpose', { clientOnly: true }],
    ['no purpose', { noExtendedKeyUsage: true }],
    ['a long URI', { uris: [`spiffe://x0tta6bl4.mesh/node/${'a'.repeat(300)}`] }],
    ['an empty URI', { uris: [''] }],
  ])('of %s', async (_what, bad) => {
    const leaf = await ca.issue({ name: 'oslo', ...bad });
    expect(extensionFacts(read(leaf.der))).toEqual(readWithPeculiar(leaf.der));
  });

  test('of the root and the issuer', () => {
    for (const der of [ca.rootDer, ca.issuerDer]) expect(extensionFacts(read(der))).toEqual(readWithPeculiar(der));
  });

  test.each([
    1,
    KeyUsageFlags.decipherOnly,
    KeyUsageFlags.decipherOnly | KeyUsageFlags.digitalSignature,
    KeyUsageFlags.encipherOnly | KeyUsageFlags.nonRepudiation,
    0b1_1111_1111,
    0b0_1010_1010,
  ])('of the key usage %i', async (flags) => {
    const der = await certificateWith([new KeyUsagesExtension(flags, true)]);
    expect(extensionFacts(read(der))).toEqual(readWithPeculiar(der));
  });

  test('of names that are text', async () => {
    const der = await certificateWith([
      names({ type: 'dns', value: 'oslo.example' }, { type: 'url', value: URI }, { type: 'email', value: 'a@example' }),
    ]);
    expect(extensionFacts(read(der))).toEqual(readWithPeculiar(der));
    expect(read(der)).toMatchObject({ uris: [URI], otherNames: ['dns:oslo.example', 'email:a@example'] });
  });

  test('of mutated certificates that both can read', async () => {
    const corpus = [(await ca.issue({ name: 'rome' })).der, (await ca.issue({ name: 'lima', twoSans: true })).der];
    const mutator = new Mutator(
      new SeededRandom(7),
      corpus.map((der) => der.slice(EXTENSIONS_AT, -AFTER_EXTENSIONS)),
    );
    const head = corpus[0]?.slice(0, EXTENSIONS_AT) ?? new Uint8Array();
    const tail = corpus[0]?.slice(-AFTER_EXTENSIONS) ?? new Uint8Array();
    let readable = 0;
    for (let round = 0; round < 20_000; round++) {
      const der = concatBytes([head, mutator.next(), tail]);
      const facts = readLeafFacts(der);
      const peculiar = readWithPeculiar(der);
      // The other library refuses more: it also parses extensions whose contents nobody here asks for.
      if (!facts.ok || peculiar === undefined || facts.value.otherNames.length > 0) continue;
      readable += 1;
      expect(extensionFacts(facts.value)).toEqual(peculiar);
    }
    expect(readable).toBeGreaterThan(100);
  });
});

test('names that are neither URIs nor text are reported by kind', async () => {
  const der = await certificateWith([
    names({ type: 'ip', value: '192.0.2.7' }, { type: 'id', value: '1.2.3' }, { type: 'dn', value: 'CN=x' }),
  ]);
  const { uris, otherNames } = read(der);
  expect(uris).toEqual([]);
  expect(otherNames).toEqual(['ip:8704c0000207', 'id:88022a03', expect.stringMatching(/^dn:a4/)]);
});

test('a name of a kind that the other library does not know is reported too', async () => {
  const other = names({ type: 'upn', value: 'oslo@example' }, { type: 'url', value: URI });
  const { uris, otherNames } = read(await certificateWith([other]));
  expect(uris).toEqual([URI]);
  expect(otherNames).toEqual([expect.stringMatching(/^other:a0/)]);
});

describe('a certificate is unreadable', () => {
  test.each<[string, () => Extension[]]>([
    ['with two lists of names', () => [names({ type: 'url', value: URI }), names({ type: 'url', value: URI })]],
    ['with two basic constraints', () => [new BasicConstraintsExtension(false), new BasicConstraintsExtension(true)]],
    ['with another extension twice', () => [keyIdentifier(), keyIdentifier()]],
    ['with bytes behind the basic constraints', () => [new Extension('2.5.29.19', true, Uint8Array.of(0x30, 0, 0))]],
    ['with names that are no list', () => [new Extension('2.5.29.17', false, Uint8Array.of(5, 0))]],
    ['with key usage that is no bits', () => [new Extension('2.5.29.15', true, Uint8Array.of(4, 1, 0x80))]],
    ['with a purpose that is no identifier', () => [new Extension('2.5.29.37', false, Uint8Array.of(0x30, 2, 5, 0))]],
    ['with an indefinite length', () => [new Extension('2.5.29.17', false, Uint8Array.of(0x30, 0x80, 0, 0))]],
  ])('%s', async (_what, extensions) => {
    expect(readLeafFacts(await certificateWith(extensions()))).toEqual(UNREADABLE);
  });

  test('with bytes behind it', async () => {
    const { der } = await ca.issue({ name: 'oslo' });
    expect(readLeafFacts(der).ok).toBe(true);
    expect(readLeafFacts(concatBytes([der, Uint8Array.of(0)]))).toEqual(UNREADABLE);
    expect(readLeafFacts(concatBytes([der, der]))).toEqual(UNREADABLE);
  });

  test('as PEM, which OpenSSL would read', async () => {
    const { certPem } = await ca.issue({ name: 'oslo' });
    expect(readLeafFacts(new TextEncoder().encode(certPem))).toEqual(UNREADABLE);
  });
});

function keyIdentifier(): Extension {
  return new AuthorityKeyIdentifierExtension('00'.repeat(20));
}
