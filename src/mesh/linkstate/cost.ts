import { MAX_LINK_COST } from '#topology/graph.ts';

/** Costs are hundredths of a millisecond of round trip, at the top of their class. */
const COST_PER_MS = 100;
/** Below this all links are alike: loopback and one switch, where noise is larger than the difference. */
const FIRST_CLASS_MS = 0.5;
/** Each class reaches this much further than the one below. */
const CLASS_RATIO = 1.5;
/** A class is left only when the measurement is this far outside of it. */
const HYSTERESIS = 1.25;
const LAST_CLASS = 24;
/** A link that was not measured yet counts like one across a country. */
const UNKNOWN_RTT_MS = 10;

/** The cost of one link: quantised, and slow to change, so that jitter makes no records. */
export class LinkCost {
  #level: number;

  constructor(rttMs: number | undefined) {
    this.#level = levelOf(rttMs ?? UNKNOWN_RTT_MS);
  }

  /** 1..MAX_LINK_COST. */
  get cost(): number {
    return Math.min(MAX_LINK_COST, Math.round(topMs(this.#level) * COST_PER_MS));
  }

  /** Returns whether the cost changed. */
  handleRtt(rttMs: number): boolean {
    const level = levelOf(rttMs);
    const above = rttMs > topMs(this.#level) * HYSTERESIS;
    const below = rttMs * HYSTERESIS < topMs(this.#level - 1);
    if (level === this.#level || !(above || below)) return false;
    this.#level = level;
    return true;
  }
}

function topMs(level: number): number {
  return level < 0 ? 0 : FIRST_CLASS_MS * CLASS_RATIO ** level;
}

/** What is no measurement counts as the worst. */
function levelOf(rttMs: number): number {
  if (!(rttMs >= 0 && rttMs < Infinity)) return LAST_CLASS;
  if (rttMs <= FIRST_CLASS_MS) return 0;
  return Math.min(LAST_CLASS, Math.ceil(Math.log(rttMs / FIRST_CLASS_MS) / Math.log(CLASS_RATIO)));
}
