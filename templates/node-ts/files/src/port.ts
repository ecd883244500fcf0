/** Where the service listens when the environment does not say. */
export const defaultPort = {{ port }};

/** Reads a port number from the environment's text. */
export function portFrom(text: string | undefined): number {
  if (text === undefined || text === "") {
    return defaultPort;
  }
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new Error(`PORT is not a port number: ${text}`);
  }
  return port;
}
