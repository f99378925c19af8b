import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { Secret } from '#kernel/secret.ts';
import { DEFAULT_TRUST_DOMAIN, isTrustDomain } from '#trust/identity.ts';
import { CodedError } from '#control/coded-error.ts';
import { formatHostPort, parseHostPort } from '#io/edge-listener/host-port.ts';
import type { HostPort } from '#io/edge-listener/host-port.ts';
import { parseTraceTarget, type TraceTarget } from '#io/tracing-otlp/trace-target.ts';
import type { DatabaseLocation } from '#io/store-kysely/open-database.ts';
import { SVID_LIFE_DEFAULT_MS, SVID_LIFE_LEAST_MS, SVID_LIFE_MOST_MS } from '#io/x509-peculiar/authority.ts';

/** Everything that decides how one control plane runs. */
export interface ControlConfig {
  readonly dataDir: string;
  /** Where nodes enrol and hold their sessions; port 0 takes any. */
  readonly listen: HostPort;
  /** Where people and scripts ask; port 0 takes any. */
  readonly admin: HostPort;
  /** What tokens say; empty: derived from `listen` once it is bound. */
  readonly advertise: readonly string[];
  readonly trustDomain: string;
  /** 5 minutes to 7 days. */
  readonly svidLifeMs: number;
  readonly database: DatabaseLocation;
  /** Undefined: replicas share nothing but the database. */
  readonly redis: Secret | undefined;
  /** Where traces go; undefined: nothing is traced. */
  readonly traces: TraceTarget | undefined;
  /** Puts the policy `local-allow-members` into force at the first start. */
  readonly allowMembers: boolean;
  /** Refuses that policy. */
  readonly isProduction: boolean;
}

/** What the command line gives. */
export interface ControlFlags {
  readonly dataDir?: string;
  readonly listen?: string;
  readonly admin?: string;
  readonly advertise?: readonly string[];
  readonly trustDomain?: string;
  /** Minutes. */
  readonly svidLife?: string;
  readonly allowMembers?: boolean;
  readonly production?: boolean;
}

const CONTROL_DEFAULTS = { listen: '127.0.0.1:8443', admin: '127.0.0.1:8000' } as const;

/** What the control plane takes from the environment: names that databases and hosters use, not ours. */
export interface ControlEnvironment {
  readonly DATABASE_URL?: string | undefined;
  readonly REDIS_URL?: string | undefined;
  readonly OTEL_EXPORTER_OTLP_ENDPOINT?: string | undefined;
  readonly OTEL_TRACES_SAMPLER_ARG?: string | undefined;
  /** `1`, or nothing. */
  readonly X0_PRODUCTION?: string | undefined;
}

const MINUTE_MS = 60_000;

/** Reads flags and environment; throws a `CodedError` with `USAGE` on what cannot be. */
export function parseControlConfig(
  flags: ControlFlags,
  defaultDataDir: string,
  environment: ControlEnvironment = {},
): ControlConfig {
  const trustDomain = flags.trustDomain ?? DEFAULT_TRUST_DOMAIN;
  if (!isTrustDomain(trustDomain))
    throw new CodedError('USAGE', `--trust-domain ${trustDomain}: write a name like x0.mesh`);
  const advertise = flags.advertise ?? [];
  const wrong = advertise.find((address) => parseHostPort(address) === undefined);
  if (wrong !== undefined) throw new CodedError('USAGE', `--advertise ${wrong}: write HOST:PORT`);
  const dataDir = flags.dataDir ?? defaultDataDir;
  const allowMembers = flags.allowMembers ?? false;
  const isProduction = flags.production ?? isSet('X0_PRODUCTION', environment.X0_PRODUCTION);
  if (allowMembers && isProduction)
    throw new CodedError('USAGE', 'local-allow-members lets every member reach every service, and this is production');
  return {
    dataDir,
    listen: parseListener('--listen', flags.listen ?? CONTROL_DEFAULTS.listen),
    admin: parseListener('--admin', flags.admin ?? CONTROL_DEFAULTS.admin),
    advertise,
    trustDomain,
    svidLifeMs: parseLife(flags.svidLife),
    allowMembers,
    isProduction,
    database: parseDatabase(environment.DATABASE_URL, dataDir),
    redis: parseRedis(environment.REDIS_URL),
    traces: parseTraceTarget({ ...environment }),
  };
}

function isSet(name: string, text: string | undefined): boolean {
  if (text === undefined || text === '' || text === '0') return false;
  if (text === '1') return true;
  throw new CodedError('USAGE', `${name} ${text}: write 1 or 0`);
}

/** Where other hosts find a bound listener: itself, or every address of this host when it is bound to all of them. */
export function advertisedAddresses(config: ControlConfig, port: number): readonly string[] {
  if (config.advertise.length > 0) return config.advertise;
  const { host } = config.listen;
  if (host !== '0.0.0.0' && host !== '::') return [formatHostPort({ host, port })];
  const found = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const outside = found.filter((it) => (!it.internal && it.scopeid !== undefined ? it.scopeid === 0 : !it.internal));
  const hosts = outside.filter((it) => host === '::' || it.family === 'IPv4').map((it) => it.address);
  return [...hosts.slice(0, ADVERTISED_LIMIT), '127.0.0.1'].map((it) => formatHostPort({ host: it, port }));
}

/** A token carries eight addresses at most; loopback is one of them. */
const ADVERTISED_LIMIT = 7;

/** An empty variable is none. What it says is never repeated: it holds a password. */
export function parseDatabase(text: string | undefined, dataDir: string): DatabaseLocation {
  if (text === undefined || text === '') return { kind: 'sqlite', path: join(dataDir, 'x0.sqlite') };
  if (URL.canParse(text) && /^postgres(?:ql)?:$/.test(new URL(text).protocol))
    return { kind: 'postgresql', url: new Secret(text) };
  throw new CodedError('USAGE', 'DATABASE_URL: write postgres://USER:PASSWORD@HOST:PORT/NAME');
}

function parseRedis(text: string | undefined): Secret | undefined {
  if (text === undefined || text === '') return undefined;
  if (URL.canParse(text) && /^rediss?:$/.test(new URL(text).protocol)) return new Secret(text);
  throw new CodedError('USAGE', 'REDIS_URL: write redis://:PASSWORD@HOST:PORT, or rediss:// for TLS');
}

function parseListener(option: string, text: string): HostPort {
  const address = parseHostPort(text);
  if (address === undefined) throw new CodedError('USAGE', `${option} ${text}: write HOST:PORT`);
  return address;
}

function parseLife(text: string | undefined): number {
  if (text === undefined) return SVID_LIFE_DEFAULT_MS;
  const lifeMs = Number(text) * MINUTE_MS;
  if (lifeMs >= SVID_LIFE_LEAST_MS && lifeMs <= SVID_LIFE_MOST_MS) return lifeMs;
  throw new CodedError('USAGE', `--svid-life ${text}: write minutes, from 5 to ${SVID_LIFE_MOST_MS / MINUTE_MS}`);
}
