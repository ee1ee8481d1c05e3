// Installs KServe, and runs its controller manager outside of the cluster with the permissions of its chart.
import { execFile, type ChildProcess } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { spawnTied } from '../../fixtures/processes.ts'
import type { Components } from '../components.ts'
import type { ControlPlane } from '../control-plane.ts'
import type { KubeApi, KubeObject } from '../kube-api.ts'
import { chartObjects, collectionOf, readObjects, type CrdSchemas } from './chart.ts'
import RECIPE from './recipe.json' with { type: 'json' }

/** KServe in the cluster. */
export interface Kserve {
  /**
   * Ends the manager. Until it is started again, the API server refuses every new or changed InferenceService and the
   * pods of models, because the webhooks do not answer. Writes to the status pass.
   */
  stop(): Promise<void>
  /** Starts the manager, and waits until it is ready. */
  start(): Promise<void>
  /** Serves Knative's kind Service without Knative's controllers, and restarts the manager, which then uses it. */
  addKnative(): Promise<void>
}

const READY_URL = 'http://127.0.0.1:8081/readyz'
const TIMEOUT_MS = 60_000
const RETRY_MS = 50
const TOKEN_SECONDS = 86_400

/** Installs KServe's CRDs, chart and runtimes, and starts the manager with its files in `folder`. */
export async function startKserve(
  { kserve }: Components,
  plane: ControlPlane,
  folder: string,
  schemas: CrdSchemas,
): Promise<Kserve> {
  const { api } = plane
  const run = join(folder, 'kserve')
  const certificate = await makeCertificate(run)
  const { crds, first, webhooks, last } = chartObjects(kserve, schemas, certificate)
  await createCrds(api, crds)
  const { namespace } = RECIPE
  await createAll(api, [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }])
  await createAll(api, first)
  const account = `/api/v1/namespaces/${namespace}/serviceaccounts/kserve-controller-manager`
  const token = await api.create(`${account}/token`, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { expirationSeconds: TOKEN_SECONDS },
  })
  writeFileSync(join(run, 'kubeconfig'), plane.kubeconfigText(token.status.token))
  const manager = new Manager(join(kserve, 'kserve-manager'), run)
  await manager.start()
  await createAll(api, webhooks)
  await createAll(api, last)
  return {
    stop: () => manager.stop(),
    start: () => manager.start(),
    addKnative: async () => {
      const objects = readObjects(kserve, 'knative')
      await createCrds(api, objects.filter(isCrd))
      await createAll(api, [
        { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'knative-serving' } },
        ...objects.filter((object) => !isCrd(object)),
      ])
      await manager.stop()
      await manager.start()
    },
  }
}

class Manager {
  readonly #program: string
  readonly #folder: string
  #end: (() => Promise<void>) | undefined

  constructor(program: string, folder: string) {
    this.#program = program
    this.#folder = folder
  }

  // The manager exits if the API server does not list its kinds yet. Like its Deployment, this starts it again.
  async start(): Promise<void> {
    const until = Date.now() + TIMEOUT_MS
    for (let child = this.#spawn(); !(await answers(READY_URL)); await delay(RETRY_MS)) {
      if (Date.now() > until) {
        const log = readFileSync(this.#log, 'utf8').slice(-3000)
        throw new Error(`KServe's manager did not become ready:\n${log}`)
      }
      if (child.exitCode !== null) child = this.#spawn()
    }
  }

  #spawn(): ChildProcess {
    const log = openSync(this.#log, 'a')
    const args = [
      `--kubeconfig=${join(this.#folder, 'kubeconfig')}`,
      '--metrics-addr=127.0.0.1:8080',
      '--health-probe-addr=127.0.0.1:8081',
      '--webhook-port=9443',
      '--zap-encoder=console',
    ]
    const child = spawnTied(this.#program, args, {
      stdio: ['ignore', log, log],
      // The manager reads the certificate of its webhooks from a folder in TMPDIR.
      env: { ...process.env, TMPDIR: join(this.#folder, 'tmp'), POD_NAMESPACE: RECIPE.namespace },
    })
    closeSync(log)
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    this.#end = async () => {
      child.kill('SIGKILL')
      await ended
    }
    return child
  }

  async stop(): Promise<void> {
    await this.#end?.()
    this.#end = undefined
  }

  get #log(): string {
    return join(this.#folder, 'manager.log')
  }
}

async function makeCertificate(folder: string): Promise<string> {
  const certificates = join(folder, 'tmp/k8s-webhook-server/serving-certs')
  mkdirSync(certificates, { recursive: true })
  const request = 'req -x509 -days 7 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -nodes'
  const key = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -keyout tls.key -out tls.crt'
  await promisify(execFile)('openssl', `${request} ${key}`.split(' '), { cwd: certificates })
  return readFileSync(join(certificates, 'tls.crt'), 'utf8')
}

function isCrd({ kind }: KubeObject): boolean {
  return kind === 'CustomResourceDefinition'
}

async function createAll(api: KubeApi, objects: readonly KubeObject[]): Promise<void> {
  const [namespaces, others] = [
    objects.filter(({ kind }) => kind === 'Namespace'),
    objects.filter(({ kind }) => kind !== 'Namespace'),
  ]
  for (const group of [namespaces, others]) {
    await Promise.all(group.map((object) => api.create(collectionOf(object), object)))
  }
}

/** Creates CRDs, and waits until the API server serves every version of them. */
export async function createCrds(api: KubeApi, crds: readonly KubeObject[]): Promise<void> {
  await Promise.all(
    crds.map(async (crd) => {
      await api.create('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', crd)
      for (const { name, served } of crd.spec.versions) {
        if (!served) continue
        const path = `/apis/${crd.spec.group}/${name}/${crd.spec.names.plural}?limit=1`
        for (const until = Date.now() + TIMEOUT_MS; ; await delay(RETRY_MS)) {
          const error = await api.get(path).then(
            () => undefined,
            (reason: unknown) => reason,
          )
          if (error === undefined) break
          if (Date.now() > until) throw error as Error
        }
      }
    }),
  )
}

function answers(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    get(url, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    }).once('error', () => resolve(false))
  })
}
