import ipaddr from "ipaddr.js";

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/**
 * Where clouds answer their own machines: credentials, user data. Never a receiver of ours, whatever networks are
 * allowed, and one of them lies in a public range.
 */
const METADATA = new Set(
  [
    "169.254.169.254", // AWS, Azure, Google, DigitalOcean, Oracle
    "169.254.170.2", // credentials of ECS tasks
    "169.254.170.23", // credentials of EKS pods
    "fd00:ec2::254", // AWS
    "fd00:ec2::23", // EKS pods
    "fd20:ce::254", // Google
    "100.100.100.200", // Alibaba
    "192.0.0.192", // Oracle
    "168.63.129.16", // Azure
  ].map((text) => ipaddr.parse(text).toNormalizedString()),
);

/** A network that may be reached although it is not public. */
export type Network = [Address, number];

/** `10.0.0.0/8`, or one address; null if it is neither. */
export function parseNetwork(text: string): Network | null {
  if (ipaddr.isValidCIDR(text)) return ipaddr.parseCIDR(text);
  if (!ipaddr.isValid(text)) return null;
  const address = ipaddr.parse(text);
  return [address, address.kind() === "ipv4" ? 32 : 128];
}

/**
 * Whether a request of a stranger's choosing may go to this address: to public unicast ones and to `allowed` networks,
 * never to the metadata of a cloud. IPv6 forms that stand for an IPv4 address are judged as that.
 */
export function mayReach(text: string, allowed: readonly Network[] = []): boolean {
  const plain = text.replace(/%.*$/, "");
  if (!ipaddr.isValid(plain)) return false;
  const address = embeddedIpv4(ipaddr.parse(plain));
  if (METADATA.has(address.toNormalizedString())) return false;
  const isIn = ([network, bits]: Network) => network.kind() === address.kind() && address.match(network, bits);
  return isPublic(address) || allowed.some(isIn);
}

function isPublic(address: Address): boolean {
  if (address.range() !== "unicast") return false;
  // Of IPv6 only this block is given out; what is outside it and has no name either may route anywhere.
  return address.kind() === "ipv4" || address.match(ipaddr.parse("2000::"), 3);
}

/** Of a mapped address (::ffff:0:0/96), and of one that NAT64 translates (64:ff9b::/96), where DNS may name only those. */
function embeddedIpv4(address: Address): Address {
  if (address instanceof ipaddr.IPv4) return address;
  const isNat64 = address.match(ipaddr.parse("64:ff9b::"), 96);
  if (!isNat64 && !address.isIPv4MappedAddress()) return address;
  return new ipaddr.IPv4(address.toByteArray().slice(-4));
}
