import { connect, type Socket } from 'node:net';
import { codeOf } from '#kernel/code-of.ts';
import { SOCKET_BUFFER_BYTES } from '../edge-listener/tcp-listener.ts';
import { StreamError } from '../stream-splice/stream-opener.ts';
import type { TargetPolicy } from '../target-policy/target-policy.ts';

/** Where a service instance runs and what it is told first. */
export interface TargetRequest {
  readonly host: string;
  readonly port: number;
  /** Written before anything of the stream, see `encodeProxyHeader`. */
  readonly header?: Uint8Array | undefined;
}

/** A target on the same host or site answers in milliseconds; this is three lost SYNs. */
const CONNECT_TIMEOUT_MS = 7000;

/**
 * Dials a target that `policy` permits; the socket is half-open capable. Rejects with a `StreamError`: `TARGET_NOT_ALLOWED`,
 * `TARGET_UNREACHABLE`, `TARGET_REFUSED` or `TARGET_TIMEOUT`.
 */
export async function connectTarget(policy: TargetPolicy, { host, port, header }: TargetRequest): Promise<Socket> {
  const pinned = await policy.pin(host, port);
  if (!pinned.ok) {
    const { code, why } = pinned.error;
    throw new StreamError(code === 'TARGET_UNKNOWN_HOST' ? 'TARGET_UNREACHABLE' : code, `${host}:${port}: ${why}`);
  }
  const socket = await dialFirst([pinned.value.host, ...pinned.value.alternatives], port);
  if (header !== undefined) socket.write(header);
  return socket;
}

async function dialFirst(hosts: readonly string[], port: number): Promise<Socket> {
  const [host = '', ...others] = hosts;
  try {
    return await dial(host, port);
  } catch (error) {
    if (others.length === 0) throw error;
    return await dialFirst(others, port);
  }
}

function dial(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const options = {
      host,
      port,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      highWaterMark: SOCKET_BUFFER_BYTES,
    };
    const socket = connect(options);
    const timer = setTimeout(() => socket.destroy(timedOut(host, port)), CONNECT_TIMEOUT_MS);
    const onError = (error: Error): void => {
      clearTimeout(timer);
      reject(error instanceof StreamError ? error : dialFailure(error));
    };
    socket.once('error', onError);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.off('error', onError);
      socket.on('error', () => socket.destroy());
      socket.pause();
      resolve(socket);
    });
  });
}

function timedOut(host: string, port: number): StreamError {
  return new StreamError('TARGET_TIMEOUT', `${host}:${port} did not answer in ${CONNECT_TIMEOUT_MS} ms`);
}

function dialFailure(error: Error): StreamError {
  return new StreamError(codeOf(error) === 'ECONNREFUSED' ? 'TARGET_REFUSED' : 'TARGET_UNREACHABLE', error.message);
}
