import { failure, run, SetupError, say, step } from "./step.mjs";

const FOR_BUILD = [
  "g++",
  "cmake",
  "ninja-build",
  "pkg-config",
  "libhwy-dev",
  "libeigen3-dev",
  "nlohmann-json3-dev",
  "doctest-dev",
];
const FOR_TESTS = ["python3", "python3-venv", "curl"];

const BREW_NAMES = {
  cmake: "cmake",
  ninja: "ninja",
  "pkg-config": "pkgconf",
  libhwy: "highway",
  eigen3: "eigen",
  nlohmann_json: "nlohmann-json",
  doctest: "doctest",
  python3: "python",
  curl: "curl",
};

/** Compiler, build tools and C++ libraries, Python and curl, as far as they are needed: installed from Debian's packages, or elsewhere checked. */
export async function systemPackages({ native = true, python = false }) {
  const wanted = [...(native ? FOR_BUILD : []), ...(python ? FOR_TESTS : [])];
  if (wanted.length === 0) return;
  const query = await run("dpkg-query", ["-W", "-f", "${Package} ${db:Status-Status}\n", ...wanted]);
  if (query.status === 127) return checkTools({ native, python });

  const installed = new Set(query.output.split("\n").filter((line) => line.endsWith(" installed")));
  const missing = wanted.filter((name) => !installed.has(`${name} installed`));
  if (missing.length > 0) await aptInstall(missing);
}

async function aptInstall(missing) {
  const commandLine = `apt-get update && apt-get install -y ${missing.join(" ")}`;
  const sudo = process.getuid() === 0 ? [] : ["sudo", "-n"];
  if (sudo.length > 0 && (await run("sudo", ["-n", "true"])).status !== 0) {
    throw new SetupError(
      `[setup] These Debian packages are missing: ${missing.join(" ")}\n` +
        `[setup] Installing them needs root or sudo without a password. As root, run: ${commandLine}`,
    );
  }
  const apt = [...sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"];
  const [command, ...args] = apt;
  const remedy = `Is the network there? By hand, as root: ${commandLine}`;

  // Old package lists are good enough if every file that they name can still be had.
  const update = await run(command, [...args, "update"]);
  if (update.status !== 0) say(failure("apt-get update", [...apt, "update"], update.output, "going on"));
  await step(
    `Debian packages: ${missing.join(" ")}`,
    command,
    [...args, "install", "-y", "--no-install-recommends", ...missing],
    { remedy },
  );
}

/** Not Debian: names what is missing and leaves the installing to the person. */
async function checkTools({ native, python }) {
  const missing = [];
  const need = async (name, command, args) => {
    if ((await run(command, args)).status !== 0) missing.push(name);
  };
  if (native) {
    await need("a C++20 compiler (c++)", process.env.CXX ?? "c++", ["--version"]);
    for (const tool of ["cmake", "ninja", "pkg-config"]) await need(tool, tool, ["--version"]);
    for (const library of ["libhwy", "eigen3", "nlohmann_json"]) {
      await need(library, "pkg-config", ["--exists", library]);
    }
  }
  if (python) {
    await need("python3", "python3", ["-m", "venv", "--help"]);
    await need("curl", "curl", ["--version"]);
  }
  if (missing.length === 0) return;

  const brew = missing.flatMap((name) => BREW_NAMES[name] ?? []);
  const how =
    process.platform === "darwin"
      ? `Run: xcode-select --install; brew install ${[...new Set([...brew, "doctest"])].join(" ")}`
      : "Install them with your system's package manager (cmake 3.25 or newer, and doctest too).";
  throw new SetupError(`[setup] Missing: ${missing.join(", ")}\n[setup] ${how}`);
}
