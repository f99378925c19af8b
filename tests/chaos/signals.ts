/** Ends the process by its `exit` handlers, which end its children and remove its namespaces, also when it is interrupted. */
export function endOnSignals(): void {
  for (const [signal, status] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => process.exit(status));
  }
}
