import { connect, type Socket } from 'node:net';
import { HandshakeError, type HandshakeOptions, secureAsDialer, type SecuredTransport } from './handshake.ts';

const CONNECT_TIMEOUT_MS = 5_000;

/** Splits `host:port` or `[v6]:port`. */
export function splitAddress(address: string): { readonly host: string; readonly port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || !(port > 0 && port < 65_536) ? undefined : { host, port };
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
