// What KubeApi needs to reach one API server: its address, and the current credential.

/** The API server's address and the way to authenticate there. */
export interface KubeTarget {
  /** Where the settings come from, for messages: `the ServiceAccount`, or `context "dev" of /home/me/.kube/config`. */
  readonly source: string
  /** Address of the API server, possibly with a path. */
  readonly server: URL
  /** Name in the server's certificate, if it differs from the address. */
  readonly serverName: string | undefined
  /** The ServiceAccount's namespace, or that of the kubeconfig's context. */
  readonly namespace: string | undefined
  /**
   * Returns the credential to use now. Files are read again if they have changed. @throws KubeError `InvalidConfig`,
   * `NoCredential`
   */
  login(signal: AbortSignal): Promise<KubeLogin>
  /** Called after a 401: obtains a new credential. Returns false if there is no other one than the refused one. */
  renew(refused: KubeLogin, signal: AbortSignal): Promise<boolean>
}

/** A credential. Never put a part of it into a message. */
export interface KubeLogin {
  /** Bearer token. */
  readonly token: string | undefined
  readonly tls: KubeTls
}

/** TLS material in PEM. */
export interface KubeTls {
  /** Certificate authorities of the server; undefined = those of Node.js. */
  readonly ca: string | undefined
  readonly cert: string | undefined
  readonly key: string | undefined
}

/** Returns whether two TLS materials are the same. */
export function sameTls(one: KubeTls, other: KubeTls): boolean {
  return one.ca === other.ca && one.cert === other.cert && one.key === other.key
}
