/** The order to try addresses in: as published, but the families take turns (RFC 8305 §4), so that one that is dead costs one attempt. */
export function mixFamilies(addresses: readonly string[]): readonly string[] {
  const [first] = addresses;
  if (first === undefined) return addresses;
  const ofFirst = addresses.filter((address) => isV6(address) === isV6(first));
  const ofOther = addresses.filter((address) => isV6(address) !== isV6(first));
  const longest = Math.max(ofFirst.length, ofOther.length);
  return Array.from({ length: longest }, (_, i) => [ofFirst[i], ofOther[i]])
    .flat()
    .filter((address) => address !== undefined);
}

function isV6(address: string): boolean {
  return address.startsWith('[');
}
