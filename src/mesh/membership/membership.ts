import type { RandomSource } from '#kernel/random.ts';

/** A node of the snapshot. */
export interface Member {
  readonly name: string;
  readonly relay: boolean;
  /** `host:port` or `[v6]:port`; empty: only dials out. */
  readonly addresses: readonly string[];
  /** Fixed topology: the names it links to; null: the automatic plan. */
  readonly links: readonly string[] | null;
}

export interface MembershipPorts {
  readonly random: RandomSource;
}

export interface MembershipOptions {
  readonly name: string;
  readonly relay: boolean;
}

/** `dial`: try to link to `peer` at `address`; answer with handleLinkUp or handleDialFailed. `close`: end the link or the dial. */
export type MembershipOutput =
  | { readonly kind: 'dial'; readonly peer: string; readonly address: string }
  | { readonly kind: 'close'; readonly peer: string };

/** One line of the link plan, for status. */
export interface PlannedLink {
  readonly peer: string;
  readonly reason: 'fixed' | 'relay' | 'far' | 'nearest';
  /** `waiting`: until the next dial; `expected`: the other side dials. */
  readonly state: 'up' | 'dialling' | 'waiting' | 'expected';
  readonly failures: number;
  readonly rttMs?: number;
}

/** The link plan of one node and its dialling. */
export class Membership {
  constructor(_ports: MembershipPorts, _options: MembershipOptions, _nowMs: number) {}
  handleMembers(_members: readonly Member[], _nowMs: number): void {}
  handleDialFailed(_peer: string, _nowMs: number): void {}
  handleLinkUp(_peer: string, _nowMs: number): void {}
  handleLinkDown(_peer: string, _nowMs: number): void {}
  handleDistance(_peer: string, _rttMs: number): void {}
  wanted(): readonly PlannedLink[] {
    return [];
  }
  /** Whether a link from this peer may stay: a member, and listed where a topology is fixed. */
  accepts(_peer: string): boolean {
    return false;
  }
  handleDeadline(_nowMs: number): void {}
  deadlineMs(): number | undefined {
    return undefined;
  }
  poll(): MembershipOutput | undefined {
    return undefined;
  }
}
