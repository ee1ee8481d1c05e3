// Obtains a credential from a plugin that the kubeconfig names, such as those of EKS and GKE
// (client.authentication.k8s.io, kind ExecCredential).
import { execFile } from 'node:child_process'
import { z } from 'zod'
import { aborted, configError, credentialError } from './kube-error.ts'
import { pathIn, type KubeconfigEntry } from './kubeconfig.ts'
import type { KubeLogin } from './kube-target.ts'
import { checkedCertificates, checkedKey } from './pem.ts'
import { checkedToken } from './secret-text.ts'

/** The `exec` section of a kubeconfig's user. */
export const EXEC_SCHEMA = z.object({
  // EKS and GKE write v1beta1, whose objects are the same.
  apiVersion: z.enum(['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1']),
  command: z.string().min(1),
  args: z.array(z.string()).nullish(),
  env: z.array(z.object({ name: z.string().min(1), value: z.string() })).nullish(),
  installHint: z.string().nullish(),
  provideClusterInfo: z.boolean().nullish(),
  interactiveMode: z.enum(['Never', 'IfAvailable', 'Always']).nullish(),
})

/** The `exec` section of a kubeconfig's user. */
export type ExecConfig = z.infer<typeof EXEC_SCHEMA>

const OUTPUT_BYTES_MAX = 256 * 1024
const TIMEOUT_MS = 60_000
// A credential is replaced a little before it expires, because the request takes time.
const EARLY_MS = 10_000

const TEXT = z.string().nullish()
const ANSWER = z.object({
  apiVersion: z.string(),
  kind: z.literal('ExecCredential'),
  status: z.object({
    token: TEXT,
    clientCertificateData: TEXT,
    clientKeyData: TEXT,
    expirationTimestamp: TEXT,
  }),
})

const HINT = 'Run the plugin by hand to see its output.'

interface Run {
  readonly login: Promise<KubeLogin>
  readonly stopping: AbortController
  /** Number of requests that wait for the credential. */
  waiting: number
}

/** Runs a plugin when there is no credential, when it expires, or when the API server refuses it. */
export class ExecPlugin {
  readonly #config: ExecConfig
  readonly #entry: KubeconfigEntry
  readonly #clusterInfo: Readonly<Record<string, unknown>>
  readonly #base: () => KubeLogin
  #current: { readonly login: KubeLogin; readonly untilMs: number } | undefined
  #running: Run | undefined

  /**
   * @param clusterInfo what the plugin learns about the cluster, if it asks for that
   * @param base returns the TLS material of the kubeconfig
   * @throws KubeError `InvalidConfig` if the plugin needs a terminal
   */
  constructor(
    config: ExecConfig,
    entry: KubeconfigEntry,
    clusterInfo: Readonly<Record<string, unknown>>,
    base: () => KubeLogin,
  ) {
    this.#config = config
    this.#entry = entry
    this.#clusterInfo = clusterInfo
    this.#base = base
    if (config.interactiveMode === 'Always') {
      throw configError(
        `The kubeconfig "${entry.file}" has an exec plugin with interactiveMode: Always, but there is no terminal for it`,
        'Use a plugin that works without a terminal, or a token: kubectl create token NAME.',
      )
    }
  }

  /** Returns the credential. @throws KubeError `NoCredential` */
  async login(signal: AbortSignal): Promise<KubeLogin> {
    if (this.#current !== undefined && Date.now() < this.#current.untilMs) return this.#current.login
    return await this.#run(signal)
  }

  /** Runs the plugin again, unless that has happened since `refused` was sent. */
  async renew(refused: KubeLogin, signal: AbortSignal): Promise<boolean> {
    if (this.#current === undefined || this.#current.login === refused) {
      await this.#run(signal)
    }
    return true
  }

  // Requests that wait at the same time share one run, which ends when no request waits for it any more.
  async #run(signal: AbortSignal): Promise<KubeLogin> {
    const run = (this.#running ??= this.#start())
    run.waiting += 1
    try {
      return await untilAborted(run.login, signal)
    } finally {
      run.waiting -= 1
      if (run.waiting === 0) {
        if (this.#running === run) this.#running = undefined
        run.stopping.abort()
      }
    }
  }

  #start(): Run {
    const stopping = new AbortController()
    return { login: this.#execute(stopping.signal), stopping, waiting: 0 }
  }

  async #execute(signal: AbortSignal): Promise<KubeLogin> {
    const { apiVersion, command } = this.#config
    const what = `The exec plugin "${command}" in "${this.#entry.file}"`
    const output = await this.#output(what, signal)
    const { apiVersion: answered, status } = parseAnswer(output, what)
    if (answered !== apiVersion) {
      throw credentialError(
        `${what} answered with ${answered} instead of ${apiVersion}`,
        "Update the plugin, or correct apiVersion in the kubeconfig's exec section.",
      )
    }
    const { token, clientCertificateData: cert, clientKeyData: key } = status
    if ((cert ?? '') === '' ? (token ?? '') === '' : (key ?? '') === '') {
      throw credentialError(`${what} returned neither a token nor a certificate with its key`, HINT)
    }
    const base = this.#base()
    const login: KubeLogin = {
      token: (token ?? '') === '' ? undefined : checkedToken(token!, `The token of "${command}"`),
      tls:
        (cert ?? '') === ''
          ? base.tls
          : {
              ca: base.tls.ca,
              cert: checkedCertificates(cert!, `The certificate of "${command}"`),
              key: checkedKey(key!, `The key of "${command}"`),
            },
    }
    this.#current = { login, untilMs: untilMs(status.expirationTimestamp) }
    return login
  }

  #output(what: string, signal: AbortSignal): Promise<string> {
    const { apiVersion, command, args, env, installHint, provideClusterInfo } = this.#config
    const spec = {
      interactive: false,
      ...(provideClusterInfo === true ? { cluster: this.#clusterInfo } : {}),
    }
    const added = Object.fromEntries((env ?? []).map(({ name, value }) => [name, value]))
    const info = JSON.stringify({ apiVersion, kind: 'ExecCredential', spec })
    return new Promise((resolve, reject) => {
      const child = execFile(
        // As with kubectl, a path is relative to the kubeconfig, and a name is looked up in PATH.
        /[/\\]/.test(command) ? pathIn(this.#entry, command) : command,
        args ?? [],
        {
          env: { ...process.env, ...added, KUBERNETES_EXEC_INFO: info },
          timeout: TIMEOUT_MS,
          killSignal: 'SIGKILL',
          signal,
          maxBuffer: OUTPUT_BYTES_MAX,
        },
        (error, stdout, stderr) => {
          if (error === null) return resolve(stdout)
          const hint = (installHint ?? '') === '' ? HINT : installHint!
          reject(credentialError(`${what} failed: ${reasonOf(error)}${shownOutput(stderr)}`, hint))
        },
      )
      // A plugin that reads from its standard input must not wait.
      child.stdin?.on('error', () => {})
      child.stdin?.end()
    })
  }
}

function parseAnswer(output: string, what: string): z.infer<typeof ANSWER> {
  let value: unknown
  try {
    value = JSON.parse(output)
  } catch {
    throw credentialError(`${what} did not print JSON`, HINT)
  }
  const result = ANSWER.safeParse(value)
  if (result.success) return result.data
  const { path, message } = result.error.issues[0]!
  throw credentialError(`${what} did not print an ExecCredential: ${path.join('.')}: ${message}`, HINT)
}

function untilMs(expirationTimestamp: string | null | undefined): number {
  if (expirationTimestamp === undefined || expirationTimestamp === null) return Number.POSITIVE_INFINITY
  const timeMs = Date.parse(expirationTimestamp)
  return Number.isNaN(timeMs) ? 0 : timeMs - EARLY_MS
}

function reasonOf(error: Error & { readonly code?: unknown; readonly killed?: boolean }): string {
  const { code, killed } = error
  if (code === 'ENOENT') return 'it is not installed'
  if (code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') return `it printed more than ${OUTPUT_BYTES_MAX} bytes`
  if (killed === true) return `it did not end within ${TIMEOUT_MS / 1000} s`
  return typeof code === 'number'
    ? `it ended with ${code}`
    : `it could not be run (${typeof code === 'string' ? code : error.name})`
}

// Plugins explain their failures on standard error. Long words could be tokens.
function shownOutput(stderr: string): string {
  const text = stderr
    .trim()
    .slice(-400)
    .replaceAll(/[\w\-.~+/=]{32,}/g, '***')
  return text === '' ? '' : `: ${text}`
}

function untilAborted<Result>(promise: Promise<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(aborted('The exec plugin'))
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort)
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
