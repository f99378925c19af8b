import type { RandomSource } from '#kernel/random.ts';
import { mixFamilies } from '#mesh/membership/addresses.ts';
import { Dialler, type DialRole } from '#mesh/membership/dialler.ts';
import { NearestChoice } from '#mesh/membership/nearest.ts';
import { isMutual, makePlan, mayLink, type Member, type Plan, type PlanReason } from '#mesh/membership/plan.ts';

export type { Member } from '#mesh/membership/plan.ts';

/** Direct links beside the plan: each saves the hops of one busy pair of nodes. */
const MAX_TRAFFIC_LINKS = 32;
/** A direct link outlasts its last stream by this, so that it is not built for every request. */
const TRAFFIC_LINK_MS = 120_000;

/** Handshakes begun at once: each costs milliseconds of processor. */
const MAX_DIALS_IN_FLIGHT = 16;

export interface MembershipPorts {
  readonly random: RandomSource;
}

export interface MembershipOptions {
  readonly name: string;
  /** Until the snapshot tells. */
  readonly relay: boolean;
}

/** `dial`: try to link to `peer` at `address`; answer with handleLinkUp or handleDialFailed. `close`: end the link or the dial, whichever there is. */
export type MembershipOutput =
  | { readonly kind: 'dial'; readonly peer: string; readonly address: string }
  | { readonly kind: 'close'; readonly peer: string };

/** One line of the link plan, for status. */
export interface PlannedLink {
  readonly peer: string;
  readonly reason: PlanReason;
  /** `waiting`: until the next dial; `expected`: the other side dials. */
  readonly state: 'up' | 'dialling' | 'waiting' | 'expected';
  /** Failed attempts since the last stable link. */
  readonly failures: number;
  readonly rttMs?: number;
}

/**
 * The link plan of one node and its dialling.
 *
 * Life: every snapshot gives the members, from which the plan follows: a fixed topology, all relays for a relay, the nearest few for
 * others. Each planned link has a dialler that tries until it is up, and again when it is lost. A peer that leaves the
 * snapshot, or that the plan may not link to any more, is closed.
 */
export class Membership {
  readonly #ports: MembershipPorts;
  #self: Member;
  readonly #members = new Map<string, Member>();
  readonly #nearest: NearestChoice;
  readonly #diallers = new Map<string, Dialler>();
  readonly #planned = new Map<string, PlanReason>();
  readonly #closes = new Set<string>();
  /** Nodes with streams to or from here, and until when a direct link to each is worth having. */
  readonly #traffic = new Map<string, number>();
  #plan: Plan = { links: new Map(), candidates: [], nearestCount: 0 };
  #nowMs: number;

  constructor(ports: MembershipPorts, options: MembershipOptions, nowMs: number) {
    this.#ports = ports;
    this.#self = { name: options.name, relay: options.relay, addresses: [], links: null };
    this.#nearest = new NearestChoice(options.name, nowMs);
    this.#nowMs = nowMs;
  }

  /** All members of the snapshot, this node included. */
  handleMembers(members: readonly Member[], nowMs: number): void {
    this.#nowMs = nowMs;
    this.#members.clear();
    for (const member of members) this.#members.set(member.name, member);
    this.#self = this.#members.get(this.#self.name) ?? this.#self;
    this.#plan = makePlan(this.#self, this.#members.values());
    this.#nearest.forget((name) => this.#members.has(name));
    this.#update();
  }

  handleDialFailed(peer: string, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#diallers.get(peer)?.handleFailed(nowMs);
    this.#update();
  }

  /** A link to this peer is up, whoever dialled. Called again for a replacement, it changes nothing. */
  handleLinkUp(peer: string, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#dialler(peer).handleUp(nowMs);
    this.#update();
  }

  /** The last link to this peer is gone. */
  handleLinkDown(peer: string, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#closes.delete(peer);
    this.#diallers.get(peer)?.handleDown(nowMs);
    this.#update();
  }

  handleDistance(peer: string, rttMs: number): void {
    if (this.#members.has(peer)) this.#nearest.handleDistance(peer, rttMs, this.#nowMs);
  }

  /** Streams run between this node and `peer`: a direct link is tried where both may have it and an address is known. */
  handleTraffic(peer: string, nowMs: number): void {
    this.#nowMs = nowMs;
    const member = this.#members.get(peer);
    const isNew = !this.#traffic.has(peer);
    if (member === undefined || member.addresses.length === 0 || !this.accepts(peer)) return;
    if (isNew && this.#traffic.size >= MAX_TRAFFIC_LINKS) return;
    this.#traffic.set(peer, nowMs + TRAFFIC_LINK_MS);
    if (isNew) this.#update();
  }

  handleDeadline(nowMs: number): void {
    this.#nowMs = nowMs;
    for (const [peer, untilMs] of this.#traffic) if (untilMs <= nowMs) this.#traffic.delete(peer);
    for (const [peer, dialler] of this.#diallers) {
      if (!dialler.isOverdue(nowMs)) continue;
      dialler.handleFailed(nowMs);
      this.#closes.add(peer);
    }
    this.#update();
  }

  /** Monotonic milliseconds; undefined when nothing is going to happen by itself. */
  deadlineMs(): number | undefined {
    let nextMs = this.#plan.nearestCount > 0 ? this.#nearest.reviewMs : Infinity;
    for (const untilMs of this.#traffic.values()) nextMs = Math.min(nextMs, untilMs);
    const isFull = this.#dialsInFlight() >= MAX_DIALS_IN_FLIGHT;
    for (const dialler of this.#diallers.values()) {
      if (isFull && dialler.isDue(this.#nowMs)) continue;
      nextMs = Math.min(nextMs, dialler.deadlineMs(this.#nowMs));
    }
    return nextMs === Infinity ? undefined : nextMs;
  }

  poll(): MembershipOutput | undefined {
    for (const peer of this.#closes) {
      this.#closes.delete(peer);
      return { kind: 'close', peer };
    }
    if (this.#dialsInFlight() >= MAX_DIALS_IN_FLIGHT) return undefined;
    for (const [peer, dialler] of this.#diallers) {
      if (!this.#planned.has(peer) || !dialler.isDue(this.#nowMs)) continue;
      const address = dialler.dial(this.#nowMs);
      if (address !== undefined) return { kind: 'dial', peer, address };
    }
    return undefined;
  }

  /** The plan, by peer. */
  wanted(): readonly PlannedLink[] {
    return [...this.#planned].map(([peer, reason]) => {
      const { state, failures } = this.#dialler(peer);
      const rttMs = this.#nearest.rttMs(peer);
      return { peer, reason, state, failures, ...(rttMs === undefined ? {} : { rttMs }) };
    });
  }

  /** Where to dial a peer whose link is to be replaced. */
  addressOf(peer: string): string | undefined {
    return mixFamilies(this.#members.get(peer)?.addresses ?? [])[0];
  }

  /** Whether a link from this peer may stay: a member, and listed where a topology is fixed. */
  accepts(peer: string): boolean {
    const member = this.#members.get(peer);
    return member !== undefined && peer !== this.#self.name && mayLink(this.#self, member);
  }

  #update(): void {
    const { candidates, nearestCount } = this.#plan;
    const isFailing = (name: string) => this.#diallers.get(name)?.isFailing(this.#nowMs) ?? false;
    const names = candidates.map(({ name }) => name);
    this.#nearest.update(names, nearestCount, isFailing, this.#nowMs);
    const before = new Set(this.#planned.keys());
    this.#planned.clear();
    for (const [name, reason] of this.#plan.links) this.#planned.set(name, reason);
    for (const name of this.#nearest.chosen()) this.#planned.set(name, 'nearest');
    for (const name of this.#traffic.keys()) {
      if (!this.#planned.has(name) && this.accepts(name)) this.#planned.set(name, 'traffic');
    }
    for (const [peer, reason] of this.#planned) this.#pursue(peer, reason);
    for (const [peer, dialler] of this.#diallers)
      if (!this.#planned.has(peer)) this.#letGo(peer, dialler, before.has(peer));
  }

  #pursue(peer: string, reason: PlanReason): void {
    const addresses = this.#members.get(peer)?.addresses ?? [];
    this.#dialler(peer).handlePlan(addresses, this.#roleToward(peer, addresses, reason), this.#nowMs);
  }

  #roleToward(peer: string, addresses: readonly string[], reason: PlanReason): DialRole {
    if (addresses.length === 0) return 'never';
    const isMine = !isMutual(reason) || this.#self.addresses.length === 0 || this.#self.name < peer;
    return isMine ? 'first' : 'fallback';
  }

  /** A link that the other side wanted stays, as long as it may. */
  #letGo(peer: string, dialler: Dialler, wasPlanned: boolean): void {
    const isMine = dialler.state === 'dialling' || (wasPlanned && dialler.dialled);
    const isOpen = dialler.state === 'up' || dialler.state === 'dialling';
    if (isOpen && !dialler.closing && (isMine || !this.accepts(peer))) {
      dialler.closing = true;
      this.#closes.add(peer);
    }
    if (dialler.state !== 'up') this.#diallers.delete(peer);
  }

  #dialler(peer: string): Dialler {
    let dialler = this.#diallers.get(peer);
    if (dialler === undefined) {
      dialler = new Dialler(this.#ports.random, this.#nowMs);
      this.#diallers.set(peer, dialler);
    }
    return dialler;
  }

  #dialsInFlight(): number {
    let count = 0;
    for (const dialler of this.#diallers.values()) if (dialler.state === 'dialling') count++;
    return count;
  }
}
