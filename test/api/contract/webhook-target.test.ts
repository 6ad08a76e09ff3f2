import { describe, expect, it } from "vitest";
import { mayReach, type Network, parseNetwork } from "../../../api/contract/public-address.ts";
import { PUBLIC_HTTPS_ONLY, refuseWebhookUrl } from "../../../api/contract/webhook-target.ts";
import { HOSTILE_URLS } from "../../support/hostile-targets.ts";

const network = (text: string): Network => parseNetwork(text) ?? expect.unreachable(text);

describe("refuseWebhookUrl", () => {
  it.each(HOSTILE_URLS)("refuses %s", (url) => {
    expect(refuseWebhookUrl(url, PUBLIC_HTTPS_ONLY)).toMatch(/^(must|is) /);
  });

  it.each([
    "https://example.com/hook?a=b#c",
    "https://example.com:443/",
    "https://EXAMPLE.com./",
    "https://münchen.example/",
    "https://93.184.216.34/",
    "https://[2606:2800:220:1:248:1893:25c8:1946]/",
    "https://[64:ff9b::808:808]/",
    "https://[::ffff:8.8.8.8]/",
  ])("allows %s", (url) => {
    expect(refuseWebhookUrl(url, PUBLIC_HTTPS_ONLY)).toBeNull();
  });

  it("allows what the deployment adds, and no more", () => {
    const policy = { plainHttp: true, ports: [8443], networks: [network("10.0.0.0/8"), network("fd00::/8")] };
    for (const url of [
      "http://example.com/",
      "https://example.com:8443/",
      "http://10.1.2.3:8443/",
      "https://[fd00::1]/",
      "https://[::ffff:10.0.0.1]/",
      "http://receiver/",
    ]) {
      expect(refuseWebhookUrl(url, policy), url).toBeNull();
    }
    for (const url of ["http://example.com:8080/", "https://192.168.0.1/", "https://[fe80::1]/", "ftp://10.0.0.1/"]) {
      expect(refuseWebhookUrl(url, policy), url).not.toBeNull();
    }
  });
});

describe("mayReach", () => {
  it.each(["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "168.63.129.16"])(
    "keeps the metadata address %s closed whatever is allowed",
    (address) => {
      expect(mayReach(address, [network("0.0.0.0/0"), network("::/0")])).toBe(false);
    },
  );

  it("takes a single address for a network", () => {
    expect(mayReach("127.0.0.1", [network("127.0.0.1")])).toBe(true);
    expect(mayReach("127.0.0.2", [network("127.0.0.1")])).toBe(false);
  });
});

describe("parseNetwork", () => {
  it.each(["", "10.0.0.0/33", "ten", "10.0.0.0/8/8", "example.com"])("refuses %j", (text) => {
    expect(parseNetwork(text)).toBeNull();
  });
});
