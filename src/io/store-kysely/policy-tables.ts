/** Policies and all their versions. */
export interface PolicyTables {
  readonly policies: PolicyRow;
  readonly policy_versions: PolicyRow;
  readonly postures: PostureRow;
}

interface PostureRow {
  readonly node: string;
  readonly posture: string;
  /** The replica that said so. */
  readonly holder: string;
}

export interface PolicyRow {
  readonly name: string;
  readonly version: number;
  readonly text: string;
  readonly statements: string;
  readonly enabled: number;
  readonly deleted: number;
  readonly changed_at_ms: number;
  readonly changed_by: string;
}
