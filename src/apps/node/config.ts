import { CodedError } from '#control/coded-error.ts';
import { parseTraceTarget, type TraceTarget } from '#io/tracing-otlp/trace-target.ts';
import { STALE_AFTER_DEFAULT_MS } from '#trust/freshness.ts';
import { formatHostPort, type HostPort, parseHostPort } from '#io/edge-listener/host-port.ts';

/** Everything that decides how one node runs. */
export interface NodeConfig {
  readonly dataDir: string;
  /** A join token; needed once, until the node has its identity. A secret. */
  readonly join: string | undefined;
  /** The control plane's enrolment address when it moved since the token was made. */
  readonly control: string | undefined;
  /** Where links are accepted; undefined: this node only dials out. */
  readonly link: HostPort | undefined;
  /** `host:port` under which others reach {@link NodeConfig.link}. */
  readonly advertise: readonly string[];
  readonly relay: boolean;
  /** How fast silence of a neighbour is noticed. */
  readonly detector: DetectorName;
  readonly socks: HostPort | undefined;
  readonly http: HostPort | undefined;
  readonly admin: HostPort | undefined;
  /** What this node was told is believed for this long without a newer signature. */
  readonly staleAfterMs: number;
  /** Where traces go; undefined: nothing is traced. */
  readonly traces: TraceTarget | undefined;
  /** `--allow-target` patterns; empty: loopback, without x0's own ports. */
  readonly allowTargets: readonly string[];
  /** Ports of this host that no service may lead to, beside this node's own and the control plane's: those of other x0 programs. */
  readonly protectPorts: readonly number[];
}

/** What the command line gives; each wins over its environment variable. */
export interface NodeFlags {
  readonly dataDir?: string;
  readonly join?: string;
  readonly control?: string;
  readonly link?: string;
  readonly advertise?: readonly string[];
  readonly relay?: boolean;
  readonly detector?: string;
  readonly socks?: string;
  readonly http?: string;
  readonly admin?: string;
  readonly staleAfter?: string;
  readonly allowTarget?: readonly string[];
  readonly protectPorts?: string;
}

/** Environment of `x0 node`. */
export const NODE_VARIABLES = [
  'X0_JOIN',
  'X0_CONTROL',
  'X0_LINK',
  'X0_ADVERTISE',
  'X0_RELAY',
  'X0_DETECTOR',
  'X0_SOCKS',
  'X0_HTTP',
  'X0_ADMIN',
  'X0_STALE_AFTER',
  'X0_ALLOW_TARGETS',
  'X0_PROTECT_PORTS',
] as const;

/** Where a node's proxies and administration listen unless told otherwise. */
export const NODE_DEFAULTS = { socks: '127.0.0.1:1080', http: '127.0.0.1:8081', admin: '127.0.0.1:7201' } as const;

const OFF = 'off';

/** `normal`: 100 ms × 3, `fast`: 50 ms × 3, `off`: in band only. */
export const DETECTOR_NAMES = ['normal', 'fast', OFF] as const;
export type DetectorName = (typeof DETECTOR_NAMES)[number];

/** Reads flags and environment; throws a `CodedError` with `USAGE` on what cannot be. */
export function parseNodeConfig(
  flags: NodeFlags,
  environment: Readonly<Record<string, string | undefined>>,
  defaultDataDir: string,
): NodeConfig {
  const link = parseListener('--link', flags.link ?? environment['X0_LINK'] ?? OFF);
  const advertise = flags.advertise ?? splitList(environment['X0_ADVERTISE']);
  return {
    dataDir: flags.dataDir ?? defaultDataDir,
    join: flags.join ?? environment['X0_JOIN'],
    control: parseControl(flags.control ?? environment['X0_CONTROL']),
    link,
    advertise: advertisedAddresses(link, advertise),
    relay: flags.relay ?? parseFlag('X0_RELAY', environment['X0_RELAY']),
    detector: parseDetector(flags.detector ?? environment['X0_DETECTOR'] ?? 'normal'),
    socks: parseListener('--socks', flags.socks ?? environment['X0_SOCKS'] ?? NODE_DEFAULTS.socks),
    http: parseListener('--http', flags.http ?? environment['X0_HTTP'] ?? NODE_DEFAULTS.http),
    admin: parseListener('--admin', flags.admin ?? environment['X0_ADMIN'] ?? NODE_DEFAULTS.admin),
    traces: parseTraceTarget(environment),
    staleAfterMs: parseStaleAfter(flags.staleAfter ?? environment['X0_STALE_AFTER']),
    allowTargets: flags.allowTarget ?? splitList(environment['X0_ALLOW_TARGETS']),
    protectPorts: parsePorts(flags.protectPorts ?? environment['X0_PROTECT_PORTS'] ?? ''),
  };
}

function parseListener(option: string, text: string): HostPort | undefined {
  if (text === OFF) return undefined;
  const address = parseHostPort(text);
  if (address === undefined) throw new CodedError('USAGE', `${option} ${text}: write HOST:PORT, or ${OFF}`);
  return address;
}

/** Less than a signature is renewed in closes at every breath; more than SVIDs live vouches for nobody. */
const STALE_AFTER_LEAST_MS = 45_000;
const STALE_AFTER_MOST_MS = 7 * 24 * 3_600_000;

function parseStaleAfter(text: string | undefined): number {
  if (text === undefined) return STALE_AFTER_DEFAULT_MS;
  const afterMs = /^\d{1,9}$/.test(text) ? Number(text) * 1_000 : Number.NaN;
  if (afterMs >= STALE_AFTER_LEAST_MS && afterMs <= STALE_AFTER_MOST_MS) return afterMs;
  throw new CodedError('USAGE', `--stale-after ${text}: write whole seconds, 45 to 604800`);
}

function parseDetector(text: string): DetectorName {
  const name = DETECTOR_NAMES.find((each) => each === text);
  if (name === undefined) throw new CodedError('USAGE', `--detector ${text}: write ${DETECTOR_NAMES.join(', ')}`);
  return name;
}

function parseControl(text: string | undefined): string | undefined {
  if (text === undefined || parseHostPort(text) !== undefined) return text;
  throw new CodedError('USAGE', `--control ${text}: write HOST:PORT`);
}

function advertisedAddresses(link: HostPort | undefined, advertise: readonly string[]): readonly string[] {
  const wrong = advertise.find((address) => parseHostPort(address) === undefined);
  if (wrong !== undefined) throw new CodedError('USAGE', `--advertise ${wrong}: write HOST:PORT`);
  if (advertise.length > 0 || link === undefined) return advertise;
  if (['0.0.0.0', '::'].includes(link.host)) {
    throw new CodedError(
      'USAGE',
      `--link ${formatHostPort(link)} says no address that others could dial: add --advertise HOST:PORT`,
    );
  }
  return [formatHostPort(link)];
}

/** `1080,7101-7106`: ports and ranges of ports. */
function parsePorts(text: string): readonly number[] {
  return splitList(text).flatMap((part) => {
    const [, first, last] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part) ?? [];
    const [from, to] = [Number(first), Number(last ?? first)];
    const isRange = from >= 1 && to <= 65_535 && from <= to;
    if (!isRange)
      throw new CodedError('USAGE', `--protect-ports ${part}: write ports and ranges, such as 1080,7101-7106`);
    return Array.from({ length: to - from + 1 }, (_, index) => from + index);
  });
}

function parseFlag(name: string, text: string | undefined): boolean {
  if (text === undefined || text === '0' || text === 'false') return false;
  if (text === '1' || text === 'true') return true;
  throw new CodedError('USAGE', `${name}=${text}: write true or false`);
}

function splitList(text: string | undefined): readonly string[] {
  return (text ?? '').split(',').flatMap((each) => each.trim() || []);
}
