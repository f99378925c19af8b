import { CodedError } from '#control/coded-error.ts';
import { formatHostPort, type HostPort } from '#io/edge-listener/host-port.ts';
import { findFreePorts, probePorts } from '#io/port-probe/port-probe.ts';
import { type NODE_DEFAULTS, type NodeConfig, type NodeFlags } from '../node/config.ts';

type Listener = keyof typeof NODE_DEFAULTS;
const VARIABLES = { socks: 'X0_SOCKS', http: 'X0_HTTP', admin: 'X0_ADMIN' } as const;

/**
 * The configuration with a free port for each listener that nobody asked for and that another program on this machine has
 * already. What the user asked for, by flag or variable, stays as it is, in use or not.
 */
export async function withFreeDefaults(
  config: NodeConfig,
  flags: NodeFlags,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<NodeConfig> {
  const choose = async (which: Listener): Promise<HostPort | undefined> => {
    const isAsked = (flags[which] ?? environment[VARIABLES[which]]) !== undefined;
    return isAsked ? config[which] : freeDefault(config[which]);
  };
  const [socks, http, admin] = await Promise.all([choose('socks'), choose('http'), choose('admin')]);
  return { ...config, socks, http, admin };
}

/** Two nodes that start at once may find the same port free; losing that race this often is no accident. */
const RACE_LIMIT = 3;

/** Runs `run` with free defaults, and again with others when a program took one of them meanwhile. */
export async function runWithFreeDefaults<T>(
  choose: () => Promise<NodeConfig>,
  run: (config: NodeConfig) => Promise<T>,
): Promise<T> {
  let config = await choose();
  for (let race = 1; ; race++) {
    try {
      return await run(config);
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'PORT_IN_USE' || race === RACE_LIMIT) throw error;
      const next = await choose();
      // Nothing gave way: it is a port that somebody asked for.
      if (JSON.stringify(next) === JSON.stringify(config)) throw error;
      config = next;
    }
  }
}

async function freeDefault(address: HostPort | undefined): Promise<HostPort | undefined> {
  if (address === undefined) return address;
  try {
    await probePorts([address]);
    return address;
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'PORT_IN_USE') throw error;
    const [port = 0] = await findFreePorts(address.host, 1);
    return { host: address.host, port };
  }
}

/** What a node says when it serves. */
export function formatListeners(name: string, config: NodeConfig): string {
  const { socks, http, admin, link } = config;
  return `${name}: node is up: SOCKS5 ${show(socks)}, HTTP proxy ${show(http)}, administration ${show(admin)}, links ${show(link)}`;
}

function show(address: HostPort | undefined): string {
  return address === undefined ? 'off' : formatHostPort(address);
}
