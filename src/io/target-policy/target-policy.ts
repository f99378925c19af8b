import { lookup } from 'node:dns/promises';
import { networkInterfaces } from 'node:os';
import { BlockList, isIP, isIPv4 } from 'node:net';
import { fail, ok, type Result } from '#kernel/result.ts';

/** A target that may be dialled: the one address that was judged, never the name again. */
export interface PinnedTarget {
  readonly host: string;
  readonly port: number;
  /** Further addresses of the same name that were judged too, to be tried when `host` does not answer. */
  readonly alternatives: readonly string[];
}

/** Why a target is not dialled. `isPermittable` is true where an `--allow-target` could change that. */
export interface TargetRefusal {
  readonly code: 'TARGET_NOT_ALLOWED' | 'TARGET_UNKNOWN_HOST';
  /** For the operator, as the end of a sentence. */
  readonly why: string;
  readonly isPermittable: boolean;
}

/** Resolves a name to its addresses, best first. */
export type ResolveHost = (host: string) => Promise<readonly string[]>;

/** Rules of one node: `--allow-target` patterns, and the ports of x0 itself, which no service may lead to. */
export interface TargetPolicyOptions {
  /** `HOST:PORT`, `ADDRESS/BITS:PORT`, port `*` for any; empty means the loopback default. */
  readonly patterns: readonly string[];
  readonly ownPorts: () => readonly number[];
  readonly resolve?: ResolveHost;
}

interface Rule {
  /** A name as the operator wrote it, or undefined when `addresses` decides. */
  readonly name: string | undefined;
  readonly addresses: BlockList | undefined;
  readonly port: number | undefined;
  /** Cloud metadata lives on link-local addresses, so only a pattern inside that range grants them. */
  readonly grantsLinkLocal: boolean;
}

const LOOPBACK_PATTERNS = ['127.0.0.0/8:*', '[::1]:*'];
const MOST_PATTERNS = 256;
const MOST_ADDRESSES = 16;
/** Letters, digits, inner dashes and dots, and a label that is no number: `0x7f.1`, `2130706433` and `0177.0.0.1` are no names. */
const HOST_NAME =
  /^(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.?$/i;

const UNUSABLE = refusal('nothing can permit it; name one address of the service, not 0.0.0.0 or ::');
const OWN_PORT = refusal('that is a port of x0 itself, which no service may lead to');
const NOT_PERMITTED: TargetRefusal = { ...refusal('its --allow-target does not permit it'), isPermittable: true };
const UNKNOWN_HOST: TargetRefusal = { ...refusal('the name has no address'), code: 'TARGET_UNKNOWN_HOST' };

function refusal(why: string): TargetRefusal {
  return { code: 'TARGET_NOT_ALLOWED', why, isPermittable: false };
}

/** Which targets this node dials for others. */
export class TargetPolicy {
  readonly #rules: readonly Rule[];
  readonly #options: TargetPolicyOptions;

  /** Throws a `RangeError` on a pattern that cannot be read. */
  constructor(options: TargetPolicyOptions) {
    if (options.patterns.length > MOST_PATTERNS) throw new RangeError(`at most ${MOST_PATTERNS} target patterns`);
    const patterns = options.patterns.length === 0 ? LOOPBACK_PATTERNS : options.patterns;
    this.#rules = patterns.map(parseRule);
    this.#options = options;
  }

  /** Resolves `host` once, judges what it resolved to, and returns the address to dial. */
  async pin(host: string, port: number): Promise<Result<PinnedTarget, TargetRefusal>> {
    if (!Number.isInteger(port) || port < 1 || port > 65_535) return fail(UNUSABLE);
    const literal = canonicalAddress(host);
    if (literal === undefined && !HOST_NAME.test(host)) return fail(UNUSABLE);
    const addresses = literal === undefined ? await this.#resolve(host) : [literal];
    if (addresses.length === 0) return fail(UNKNOWN_HOST);
    const judged = addresses.map((address) => ({ address, refusal: this.#judge(host, address, port) }));
    const [first, ...others] = judged.filter((each) => each.refusal === undefined);
    if (first === undefined) return fail(judged[0]?.refusal ?? UNUSABLE);
    return ok({ host: first.address, port, alternatives: others.map(({ address }) => address) });
  }

  async #resolve(host: string): Promise<readonly string[]> {
    const resolve = this.#options.resolve ?? resolveHost;
    const found = await resolve(host);
    return found.slice(0, MOST_ADDRESSES).flatMap((address) => canonicalAddress(address) ?? []);
  }

  #judge(host: string, address: string, port: number): TargetRefusal | undefined {
    if (isUnspecified(address)) return UNUSABLE;
    if (isOwnHost(address) && this.#options.ownPorts().includes(port)) return OWN_PORT;
    return this.#rules.some((rule) => matches(rule, host, address, port)) ? undefined : NOT_PERMITTED;
  }
}

function matches(rule: Rule, host: string, address: string, port: number): boolean {
  if (rule.port !== undefined && rule.port !== port) return false;
  if (isLinkLocal(address) && !rule.grantsLinkLocal) return false;
  if (rule.addresses !== undefined) return rule.addresses.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
  // Whoever answers for a name could turn it towards this host's own services; only localhost is meant to lead there.
  if (isOwnHost(address) && rule.name !== 'localhost') return false;
  return rule.name === host.toLowerCase();
}

function parseRule(pattern: string): Rule {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\*|\d{1,5})$/.exec(pattern);
  const host = (match?.[1] ?? match?.[2] ?? '').toLowerCase();
  const port = match?.[3] === '*' ? undefined : Number(match?.[3]);
  if (match === null || (port !== undefined && (port < 1 || port > 65_535))) throw unreadable(pattern);
  if (host === '*') return { name: undefined, addresses: ANY_ADDRESS, port, grantsLinkLocal: false };
  const [address = '', bits, more] = host.split('/');
  if (isIP(address) !== 0 && more === undefined) {
    const addresses = network(address, bits, pattern);
    return { name: undefined, addresses, port, grantsLinkLocal: isLinkLocal(address) };
  }
  if (bits !== undefined || !HOST_NAME.test(host)) throw unreadable(pattern);
  return { name: host, addresses: undefined, port, grantsLinkLocal: false };
}

function network(address: string, bits: string | undefined, pattern: string): BlockList {
  const most = isIPv4(address) ? 32 : 128;
  const prefix = bits === undefined ? most : Number(bits);
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > most || bits === '') throw unreadable(pattern);
  return blockList([[address, prefix]]);
}

function blockList(networks: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList();
  for (const [address, prefix] of networks) list.addSubnet(address, prefix, isIPv4(address) ? 'ipv4' : 'ipv6');
  return list;
}

function unreadable(pattern: string): RangeError {
  return new RangeError(`${pattern} is no target pattern; write HOST:PORT or ADDRESS/BITS:PORT, with * for any port`);
}

const ANY_ADDRESS = blockList([
  ['0.0.0.0', 0],
  ['::', 0],
]);
const LOOPBACK = blockList([
  ['127.0.0.0', 8],
  ['::1', 128],
]);
const LINK_LOCAL = blockList([
  ['169.254.0.0', 16],
  ['fe80::', 10],
]);
const UNSPECIFIED = blockList([
  ['0.0.0.0', 8],
  ['::', 128],
]);

function isOwnHost(address: string): boolean {
  if (LOOPBACK.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')) return true;
  return Object.values(networkInterfaces()).some((each) => each?.some((own) => own.address === address));
}

function isLinkLocal(address: string): boolean {
  return LINK_LOCAL.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
}

function isUnspecified(address: string): boolean {
  return UNSPECIFIED.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
}

/** The address that the system would dial: IPv4 inside IPv6 is IPv4; a zone is refused; undefined for what is no address. */
function canonicalAddress(text: string): string | undefined {
  if (isIP(text) === 0 || text.includes('%')) return undefined;
  if (isIPv4(text)) return text;
  const host = new URL(`http://[${text}]/`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(host);
  if (mapped === null) return host;
  const high = Number.parseInt(mapped[1] ?? '', 16);
  const low = Number.parseInt(mapped[2] ?? '', 16);
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

async function resolveHost(host: string): Promise<readonly string[]> {
  try {
    const found = await lookup(host, { all: true });
    return found.map((each) => each.address);
  } catch (error) {
    if (error instanceof Error && 'syscall' in error && error.syscall === 'getaddrinfo') return [];
    throw error;
  }
}
