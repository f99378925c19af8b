/** One measured figure of a report, beside the bar that it is held to where there is one. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly bar?: { readonly kind: 'at least' | 'at most' | 'exactly'; readonly value: number };
  /** Every single measurement, in order. */
  readonly samples: readonly number[];
  readonly note?: string;
}

export function isMet({ value, bar }: Figure): boolean | undefined {
  if (bar === undefined) return undefined;
  if (bar.kind === 'exactly') return value === bar.value;
  return bar.kind === 'at least' ? value >= bar.value : value <= bar.value;
}

/** A scenario measures something and says what it found. */
export interface Scenario {
  readonly name: string;
  readonly about: string;
  run(): Promise<readonly Figure[]>;
}

/** Why a scenario measures nothing here. */
export class NotMeasured extends Error {}
