import type { HostPort } from '#io/edge-listener/host-port.ts';
import type { DetectorOutput, WatchedLink } from '#mesh/detector/detector.ts';
import type { DetectorProfile } from '#mesh/detector/session.ts';

/** What the detector's thread is started with. */
export interface DetectorWorkerData {
  /** See {@link SharedLife}. */
  readonly shared: SharedArrayBuffer;
  readonly profile: DetectorProfile;
  /** Where the probes of accepted links come; an IP address. */
  readonly listen: HostPort | undefined;
}

/** Where a probe goes or came from: by the socket at the link port, or by one of those that only dial. */
export interface ProbeAddress extends HostPort {
  readonly via: 'listen' | 'udp4' | 'udp6';
}

export type ToDetector =
  | { readonly kind: 'watch'; readonly link: WatchedLink<ProbeAddress>; readonly slot: number }
  | { readonly kind: 'unwatch'; readonly link: number };

/** `counts`: all counters since the thread began. `unbound`: accepted links cannot be watched, with the system's reason. */
export type FromDetector =
  | Exclude<DetectorOutput<ProbeAddress>, { readonly kind: 'send' }>
  | { readonly kind: 'counts'; readonly counts: Readonly<Record<string, number>> }
  | { readonly kind: 'unbound'; readonly code: string };
