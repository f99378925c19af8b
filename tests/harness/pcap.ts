/** Reads captures of tcpdump (pcap, Ethernet, IPv4) back into TCP streams. */
import { readFileSync } from 'node:fs';

/** One direction of a TCP connection, in order. */
interface CapturedFlow {
  readonly from: string;
  readonly to: string;
  readonly bytes: Buffer;
}

interface Segment {
  readonly sequence: number;
  readonly payload: Buffer;
}

const GLOBAL_HEADER_BYTES = 24;
const PACKET_HEADER_BYTES = 16;
const ETHERNET_HEADER_BYTES = 14;

/** Every direction of every TCP connection that the capture saw from its beginning. */
export function readFlows(path: string): readonly CapturedFlow[] {
  const file = readFileSync(path);
  const segments = new Map<string, Segment[]>();
  for (let at = GLOBAL_HEADER_BYTES; at + PACKET_HEADER_BYTES <= file.byteLength; ) {
    const length = file.readUInt32LE(at + 8);
    const packet = file.subarray(at + PACKET_HEADER_BYTES, at + PACKET_HEADER_BYTES + length);
    at += PACKET_HEADER_BYTES + length;
    const parsed = parsePacket(packet);
    if (parsed === undefined) continue;
    const flow = segments.get(parsed.key) ?? [];
    segments.set(parsed.key, flow);
    flow.push(parsed.segment);
  }
  return [...segments].map(([key, flow]) => {
    const [from = '', to = ''] = key.split(' ');
    return { from, to, bytes: assemble(flow) };
  });
}

function parsePacket(packet: Buffer): { key: string; segment: Segment } | undefined {
  const isIpv4 = packet.byteLength > ETHERNET_HEADER_BYTES + 40 && packet.readUInt16BE(12) === 0x0800;
  if (!isIpv4) return undefined;
  const ip = packet.subarray(ETHERNET_HEADER_BYTES);
  if (ip[9] !== 6) return undefined;
  const totalLength = ip.readUInt16BE(2);
  const tcp = ip.subarray(((ip[0] ?? 0) & 15) * 4, totalLength === 0 ? undefined : totalLength);
  const payload = tcp.subarray(((tcp[12] ?? 0) >> 4) * 4);
  const from = `${ip.subarray(12, 16).join('.')}:${tcp.readUInt16BE(0)}`;
  const to = `${ip.subarray(16, 20).join('.')}:${tcp.readUInt16BE(2)}`;
  return { key: `${from} ${to}`, segment: { sequence: tcp.readUInt32BE(4), payload } };
}

/** Payloads by sequence number; a repetition is dropped, a gap ends what is known. */
function assemble(segments: readonly Segment[]): Buffer {
  const carrying = segments.filter((segment) => segment.payload.byteLength > 0);
  const [first] = carrying;
  if (first === undefined) return Buffer.alloc(0);
  const ordered = carrying
    .map(({ sequence, payload }) => ({ offset: (sequence - first.sequence) >>> 0, payload }))
    .filter(({ offset }) => offset < 2 ** 31)
    .toSorted((left, right) => left.offset - right.offset);
  const parts: Buffer[] = [];
  let next = 0;
  for (const { offset, payload } of ordered) {
    if (offset > next) break;
    if (offset + payload.byteLength <= next) continue;
    parts.push(payload.subarray(next - offset));
    next = offset + payload.byteLength;
  }
  return Buffer.concat(parts);
}

/** What a TLS 1.3 hello says, by RFC 8446 §4.1 and §4.2. */
interface CapturedHello {
  readonly kind: 'client' | 'server';
  /** supported_versions. */
  readonly versions: readonly number[];
  /** supported_groups of a client; none of a server. */
  readonly groups: readonly number[];
  /** key_share. */
  readonly keyShares: readonly number[];
  /** signature_algorithms of a client. */
  readonly signatures: readonly number[];
}

const HANDSHAKE_RECORD = 22;

/** The hello that a flow begins with; undefined when it begins with something else. */
export function readHello(bytes: Buffer): CapturedHello | undefined {
  if (bytes[0] !== HANDSHAKE_RECORD || bytes.byteLength < 48) return undefined;
  const kind = bytes[5] === 1 ? 'client' : bytes[5] === 2 ? 'server' : undefined;
  if (kind === undefined) return undefined;
  const hello = bytes.subarray(9, 9 + bytes.readUIntBE(6, 3));
  let at = 34;
  at += 1 + hello.readUInt8(at);
  at += kind === 'client' ? 2 + hello.readUInt16BE(at) : 2;
  at += kind === 'client' ? 1 + hello.readUInt8(at) : 1;
  const extensions = readExtensions(hello.subarray(at + 2, at + 2 + hello.readUInt16BE(at)));
  return { kind, ...(kind === 'client' ? readOffered(extensions) : readChosen(extensions)) };
}

function readExtensions(bytes: Buffer): ReadonlyMap<number, Buffer> {
  const extensions = new Map<number, Buffer>();
  for (let at = 0; at + 4 <= bytes.byteLength; at += 4 + bytes.readUInt16BE(at + 2)) {
    extensions.set(bytes.readUInt16BE(at), bytes.subarray(at + 4, at + 4 + bytes.readUInt16BE(at + 2)));
  }
  return extensions;
}

const SUPPORTED_GROUPS = 10;
const SIGNATURE_ALGORITHMS = 13;
const SUPPORTED_VERSIONS = 43;
const KEY_SHARE = 51;

function readOffered(extensions: ReadonlyMap<number, Buffer>): Omit<CapturedHello, 'kind'> {
  const shares = extensions.get(KEY_SHARE) ?? Buffer.alloc(2);
  const keyShares: number[] = [];
  for (let at = 2; at + 4 <= shares.byteLength; at += 4 + shares.readUInt16BE(at + 2))
    keyShares.push(shares.readUInt16BE(at));
  return {
    versions: pairs(extensions.get(SUPPORTED_VERSIONS)?.subarray(1)),
    groups: pairs(extensions.get(SUPPORTED_GROUPS)?.subarray(2)),
    keyShares,
    signatures: pairs(extensions.get(SIGNATURE_ALGORITHMS)?.subarray(2)),
  };
}

function readChosen(extensions: ReadonlyMap<number, Buffer>): Omit<CapturedHello, 'kind'> {
  return {
    versions: pairs(extensions.get(SUPPORTED_VERSIONS)),
    groups: [],
    keyShares: pairs(extensions.get(KEY_SHARE)?.subarray(0, 2)),
    signatures: [],
  };
}

function pairs(bytes: Buffer = Buffer.alloc(0)): readonly number[] {
  return Array.from({ length: Math.floor(bytes.byteLength / 2) }, (_, index) => bytes.readUInt16BE(index * 2));
}
