// The address of the WebSockets, and the credentials in it.

/**
 * Return the address to connect to, for that of a chat or of its page.
 *
 * @param {string | URL} url
 */
export function addressOf(url) {
  const address = new URL(url, globalThis.document?.baseURI);
  address.protocol = address.protocol.replace("http", "ws");
  address.hash = "";
  if (!address.pathname.endsWith("/")) address.pathname += "/";
  return address;
}

/**
 * Return the parameters of the opening request that prove who the client is.
 *
 * @param {Client.Options} options
 * @returns {Record<string, string>}
 */
export function credentialsOf({ name, password, token }) {
  if (token !== undefined) return { token: typeof token === "function" ? token() : token };
  return password === undefined ? {} : { name: name ?? "", password };
}
