import { BitString, Boolean as Asn1Boolean, Integer, ObjectIdentifier, OctetString, Primitive } from 'asn1js';
import type { BaseBlock } from 'asn1js';
import { CONTEXT_CLASS, contentsOf, membersOf, parseWhole } from '#io/x509-asn1/asn1-tree.ts';

/** Contents of a certificate's extensions by object identifier. */
export type Extensions = ReadonlyMap<string, Uint8Array>;

const KEY_USAGE = '2.5.29.15';
const SUBJECT_ALTERNATIVE_NAME = '2.5.29.17';
const BASIC_CONSTRAINTS = '2.5.29.19';
const EXTENDED_KEY_USAGE = '2.5.29.37';
/** `[3] EXPLICIT Extensions` of a TBSCertificate (RFC 5280 §4.1). */
const EXTENSIONS_TAG = 3;
const URI_TAG = 6;

/** Names of RFC 5280 §4.2.1.3, by bit. */
const USAGES = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
];

/** Kinds of GeneralName (RFC 5280 §4.2.1.6), by tag. */
const NAME_KINDS = ['other', 'email', 'dns', 'x400', 'dn', 'edi', 'url', 'ip', 'id'];
const TEXT_KINDS: ReadonlySet<string> = new Set(['email', 'dns']);

/** What a certificate is named besides its subject. */
export interface AlternativeNames {
  readonly uris: readonly string[];
  /** `kind:value`; the value is text for `email` and `dns`, else the hexadecimal encoding. */
  readonly otherNames: readonly string[];
}

/** The extensions of a certificate. Throws when it is malformed, has bytes behind it or an extension twice. */
export function readExtensions(der: Uint8Array): Extensions {
  const [toBeSigned, ...rest] = membersOf(parseWhole(der));
  if (rest.length !== 2) throw new SyntaxError('not a certificate');
  const [wrapper, second] = membersOf(toBeSigned).filter((member) => isTagged(member, EXTENSIONS_TAG));
  if (second !== undefined) throw new SyntaxError('extensions twice');
  const extensions = new Map<string, Uint8Array>();
  if (wrapper === undefined) return extensions;
  const [list, surplus] = contentsOf(wrapper);
  if (surplus !== undefined) throw new SyntaxError('more than extensions');
  for (const [id, value] of membersOf(list).map((member) => readExtension(member))) {
    if (extensions.has(id)) throw new SyntaxError(`extension ${id} twice`);
    extensions.set(id, value);
  }
  return extensions;
}

function readExtension(block: BaseBlock): readonly [string, Uint8Array] {
  const [id, ...rest] = membersOf(block);
  const value = rest.pop();
  const [critical, surplus] = rest;
  if (critical !== undefined && !(critical instanceof Asn1Boolean)) throw new SyntaxError('not a criticality');
  if (!(id instanceof ObjectIdentifier) || surplus !== undefined) throw new SyntaxError('not an extension');
  if (!(value instanceof OctetString) || value.idBlock.isConstructed) throw new SyntaxError('not octets');
  return [id.getValue(), value.valueBlock.valueHexView];
}

/** RFC 5280 names of the bits that are set; empty when the extension is absent. */
export function readKeyUsages(extensions: Extensions): readonly string[] {
  const der = extensions.get(KEY_USAGE);
  if (der === undefined) return [];
  const block = parseWhole(der);
  if (!(block instanceof BitString) || block.idBlock.isConstructed) throw new SyntaxError('not bits');
  const bytes = block.valueBlock.valueHexView;
  const count = bytes.byteLength * 8 - block.valueBlock.unusedBits;
  return USAGES.filter((_name, bit) => bit < count && ((bytes[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0);
}

/** Object identifiers; empty when the extension is absent. */
export function readExtendedKeyUsages(extensions: Extensions): readonly string[] {
  return membersIn(extensions, EXTENDED_KEY_USAGE).map((block) => {
    if (!(block instanceof ObjectIdentifier)) throw new SyntaxError('not an object identifier');
    return block.getValue();
  });
}

/** Whether the basic constraints, an optional BOOLEAN and an optional INTEGER, say that this is a CA. */
export function saysCa(extensions: Extensions): boolean {
  const members = membersIn(extensions, BASIC_CONSTRAINTS);
  const [first] = members;
  const rest = first instanceof Asn1Boolean ? members.slice(1) : members;
  if (rest.length > 1 || !rest.every((member) => member instanceof Integer)) throw new SyntaxError('not constraints');
  return first instanceof Asn1Boolean && first.getValue();
}

/** All subject alternative names. */
export function readAlternativeNames(extensions: Extensions): AlternativeNames {
  const names = membersIn(extensions, SUBJECT_ALTERNATIVE_NAME);
  return {
    uris: names.filter((name) => isTagged(name, URI_TAG)).map((name) => textOf(name)),
    otherNames: names.filter((name) => !isTagged(name, URI_TAG)).map((name) => describeName(name)),
  };
}

function membersIn(extensions: Extensions, id: string): readonly BaseBlock[] {
  const der = extensions.get(id);
  return der === undefined ? [] : membersOf(parseWhole(der));
}

function describeName(name: BaseBlock): string {
  const kind = NAME_KINDS[name.idBlock.tagNumber];
  if (kind === undefined || !isTagged(name, name.idBlock.tagNumber)) throw new SyntaxError('not a name');
  return `${kind}:${TEXT_KINDS.has(kind) ? textOf(name) : new Uint8Array(name.toBER()).toHex()}`;
}

/** An IA5String under an implicit tag; a byte above 127 becomes a character that no name here may have. */
function textOf(name: BaseBlock): string {
  if (!(name instanceof Primitive)) throw new SyntaxError('not text');
  return Buffer.from(name.valueBlock.valueHexView).toString('latin1');
}

function isTagged(block: BaseBlock, tag: number): boolean {
  return block.idBlock.tagClass === CONTEXT_CLASS && block.idBlock.tagNumber === tag;
}
