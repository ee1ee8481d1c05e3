// Records when model cards arrive, and when the API server reports changes of InferenceServices.
import type { TestClient } from '../fixtures/mqtt-client.ts'
import type { KubeApi, KubeObject } from './kube-api.ts'
import { isTrue } from './kserve/inference-services.ts'

/** A model card, or its removal. */
export interface SeenCard {
  readonly model: string
  /** Undefined = the card was cleared. */
  readonly card: Readonly<Record<string, unknown>> | undefined
  /** Time of its arrival, by `performance.now()`. */
  readonly atMs: number
}

const PREFIX = 'infer/models/'

/** The cards that a client receives, and the newest one of each model. */
export class CardWatch {
  readonly seen: SeenCard[] = []
  readonly newest = new Map<string, SeenCard>()

  static async start(client: TestClient): Promise<CardWatch> {
    const watch = new CardWatch()
    client.mqtt.on('message', (topic, payload) => watch.#take(topic, payload))
    await client.subscribe(`${PREFIX}#`)
    return watch
  }

  /** State of a model's newest card; undefined without a card. */
  state(model: string): unknown {
    return this.newest.get(model)?.card?.['state']
  }

  /** Models that have a card. */
  get models(): string[] {
    return [...this.newest.values()].filter(({ card }) => card !== undefined).map(({ model }) => model)
  }

  #take(topic: string, payload: Buffer): void {
    if (!topic.startsWith(PREFIX)) return
    const text = payload.toString()
    const card = text === '' ? undefined : (JSON.parse(text) as Record<string, unknown>)
    const seen = { model: topic.slice(PREFIX.length), card, atMs: performance.now() }
    this.seen.push(seen)
    this.newest.set(seen.model, seen)
  }
}

/** The times at which the API server reported the first readiness and the deletion of InferenceServices, by name. */
export interface ServiceTimes {
  readonly readyMs: Map<string, number>
  readonly deletedMs: Map<string, number>
}

/** Watches the InferenceServices of a collection until the signal is aborted. */
export async function watchServices(
  api: KubeApi,
  collection: string,
  signal: AbortSignal,
): Promise<ServiceTimes> {
  const times = { readyMs: new Map<string, number>(), deletedMs: new Map<string, number>() }
  await api.watch(collection, signal, (object: KubeObject, isDeleted) => {
    const { name, deletionTimestamp } = object.metadata
    const isGone = isDeleted || deletionTimestamp !== undefined
    const at = isGone ? times.deletedMs : isTrue(object, 'Ready') ? times.readyMs : undefined
    if (at?.has(name) === false) at.set(name, performance.now())
  })
  return times
}
