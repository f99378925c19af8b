import { connect, type Socket } from 'node:net';
import { type HostPort, parseHostPort } from '#io/edge-listener/host-port.ts';
import { HandshakeError, type HandshakeOptions, secureAsDialer, type SecuredTransport } from './handshake.ts';

const CONNECT_TIMEOUT_MS = 5_000;

/** Splits `host:port` or `[v6]:port`. */
export function splitAddress(address: string): HostPort | undefined {
  const split = parseHostPort(address);
  return split === undefined || split.port === 0 ? undefined : split;
}

/** Connects and runs the handshake; `signal` gives it up. Rejects with {@link HandshakeError}. */
export async function dialLink(
  address: string,
  options: HandshakeOptions,
  signal: AbortSignal,
): Promise<SecuredTransport> {
  const target = splitAddress(address);
  if (target === undefined) throw new HandshakeError('ADDRESS_MALFORMED', `not an address: ${address}`);
  const socket = await openSocket(target.host, target.port, signal);
  if (signal.aborted) socket.destroy();
  return await secureAsDialer(socket, options);
}

function openSocket(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true, autoSelectFamily: true });
    const stop = (error: HandshakeError): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      reject(error);
    };
    const onAbort = (): void => stop(new HandshakeError('DIAL_CANCELLED', 'no longer wanted'));
    const timer = setTimeout(
      () => stop(new HandshakeError('DIAL_TIMEOUT', `${host}:${port} did not answer`)),
      CONNECT_TIMEOUT_MS,
    );
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('error', (error) => stop(new HandshakeError('DIAL_FAILED', error.message)));
    socket.once('connect', () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      resolve(socket);
    });
  });
}
