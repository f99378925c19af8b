import { CodedError } from '#control/coded-error.ts';
import { formatHostPort, type HostPort } from '#io/edge-listener/host-port.ts';
import { findFreePorts, probePorts } from '#io/port-probe/port-probe.ts';
import { NODE_DEFAULTS, type NodeConfig } from '../node/config.ts';

type Listener = keyof typeof NODE_DEFAULTS;

/**
 * The configuration with a free port for each of its default listeners that another node on this machine has already. What
 * the user asked for stays as it is, in use or not.
 */
export async function withFreeDefaults(config: NodeConfig): Promise<NodeConfig> {
  const [socks, http, admin] = await Promise.all([
    freeDefault('socks', config.socks),
    freeDefault('http', config.http),
    freeDefault('admin', config.admin),
  ]);
  return { ...config, socks, http, admin };
}

async function freeDefault(which: Listener, address: HostPort | undefined): Promise<HostPort | undefined> {
  if (address === undefined || formatHostPort(address) !== NODE_DEFAULTS[which]) return address;
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
export function formatListeners(config: NodeConfig): string {
  const { socks, http, admin, link } = config;
  return `node is up: SOCKS5 ${show(socks)}, HTTP proxy ${show(http)}, administration ${show(admin)}, links ${show(link)}`;
}

function show(address: HostPort | undefined): string {
  return address === undefined ? 'off' : formatHostPort(address);
}
