// Keeps what the objects of the cluster describe, and exposes each model under its name.
import type { Scope } from './cluster-watch.ts'
import {
  faultOf,
  isRefusal,
  keyText,
  type DiscoveredModel,
  type Kind,
  type ObjectKey,
  type Refusal,
} from './discovered-model.ts'
import type { KubeObject } from './kube/kube-object.ts'
import { mapObject, parentModel, parentOf } from './map-object.ts'
import { ModelCounts, type Outcome } from './model-counts.ts'
import { configuredConflict, ModelNames, objectConflict } from './model-names.ts'
import { roomFor, type Room } from './model-room.ts'
import type { DiscoveryRules } from './rules.ts'
import { keptTrainedModel } from './kept-trained-model.ts'
import type { UntrustedObject } from './untrusted-object.ts'

/** Takes the decisions of the store. */
export interface StoreSink {
  /** Exposes a model, or changes it. Returns why that is not possible. */
  expose(model: DiscoveredModel): Refusal | undefined
  /** A name has no model any more. */
  remove(name: string): void
  /** What became of an object, or the reason for it, has changed. */
  news(key: ObjectKey, outcome: Outcome): void
}

/** Options of the store. */
export interface StoreOptions {
  readonly rules: DiscoveryRules
  /** The names of the operator's models. */
  readonly configured: ReadonlySet<string>
  readonly sink: StoreSink
}

interface Entry {
  readonly key: ObjectKey
  readonly mapping: DiscoveredModel | Refusal | 'ignored'
  /** The model as the parent of TrainedModels. */
  readonly asParent: DiscoveredModel | undefined
  readonly parentText: string | undefined
  /** Kept for a TrainedModel, which is mapped again when its InferenceService changes. */
  readonly object: UntrustedObject | undefined
  outcome: Outcome | undefined
  /** The outcome that was reported last. */
  reported: string | undefined
}

/** The store. It holds one small entry for each object that asks to be exposed. */
export class ModelStore {
  readonly counts = new ModelCounts()
  readonly #rules: DiscoveryRules
  readonly #sink: StoreSink
  readonly #names = new ModelNames()
  readonly #entries = new Map<string, Entry>()
  /** The keys of the TrainedModels, by the key of their InferenceService. */
  readonly #children = new Map<string, Set<string>>()
  /** The key of the object that is exposed under a name. */
  readonly #holders = new Map<string, string>()
  /** Entries that are not in force, because the connector may not read their namespace any more. */
  readonly #suspended = new Map<string, Entry>()
  readonly #room: Room
  /** Names of waiting models for which there is a place now. */
  readonly #admitted = new Set<string>()
  #isAdmitting = false
  #configured: ReadonlySet<string>

  constructor({ rules, configured, sink }: StoreOptions) {
    this.#rules = rules
    this.#configured = configured
    this.#sink = sink
    this.#room = roomFor()
  }

  /** Takes a new or changed object. */
  set(kind: Kind, object: KubeObject): void {
    const { name, namespace = '' } = object.metadata
    const key = { kind, namespace, name }
    this.#suspended.delete(keyText(key))
    this.#map(key, object)
  }

  /** Takes a deletion. */
  delete(key: ObjectKey): void {
    const text = keyText(key)
    this.#suspended.delete(text)
    const entry = this.#entries.get(text)
    if (entry === undefined) return
    this.#entries.delete(text)
    this.#withdraw(entry)
    this.#adopt(text, entry.parentText, undefined)
    this.#remapChildren(text)
  }

  /** Removes the models of a scope until `resume`. Returns their number. */
  suspend(scope: Scope): number {
    const entries = this.#entriesIn(this.#entries, scope)
    for (const [text, entry] of entries) {
      this.delete(entry.key)
      this.#suspended.set(text, entry)
    }
    return entries.length
  }

  /** Exposes the models of a scope again, as far as they were neither changed nor deleted in the meantime. */
  resume(scope: Scope): void {
    for (const [text, entry] of this.#entriesIn(this.#suspended, scope)) {
      this.#suspended.delete(text)
      if (entry.object === undefined) this.#put({ ...entry, outcome: undefined, reported: undefined })
      else this.#map(entry.key, entry.object)
    }
  }

  /** Removes the objects of a scope. */
  drop(scope: Scope): void {
    for (const entries of [this.#entries, this.#suspended]) {
      for (const [, { key }] of this.#entriesIn(entries, scope)) this.delete(key)
    }
  }

  /** Takes the names of the operator's models, after the registry has applied a new configuration. */
  reloaded(configured: ReadonlySet<string>): void {
    const before = this.#configured
    this.#configured = configured
    for (const name of configured) {
      // The registry has replaced the discovered model.
      if (!before.has(name)) this.#forgetHolder(name)
    }
    // Names are free again, and credentials may have changed.
    for (const name of this.#names.all()) this.#resolve(name)
  }

  #map(key: ObjectKey, object: UntrustedObject): void {
    const text = keyText(key)
    const parentKey = parentOf(key.kind, object)
    const parentText = parentKey === undefined ? undefined : keyText(parentKey)
    const parent = parentText === undefined ? undefined : this.#entries.get(parentText)?.asParent
    const { mapping, asParent } = this.#mapped(key, object, parent)
    const before = this.#entries.get(text)
    if (mapping === 'ignored' && asParent === undefined) return this.delete(key)
    const entry: Entry = {
      key,
      mapping,
      asParent,
      parentText,
      object: key.kind === 'TrainedModel' ? keptTrainedModel(object) : undefined,
      outcome: before?.outcome,
      reported: before?.reported,
    }
    this.#put(entry)
  }

  #mapped(
    key: ObjectKey,
    object: UntrustedObject,
    parent: DiscoveredModel | undefined,
  ): Pick<Entry, 'mapping' | 'asParent'> {
    try {
      const mapping = mapObject(key.kind, object, this.#rules, parent)
      const asParent = this.#rules.hasTrainedModels ? parentModel(key.kind, object, this.#rules) : undefined
      return { mapping, asParent }
    } catch (error) {
      return { mapping: faultOf(key, error), asParent: undefined }
    }
  }

  #put(entry: Entry): void {
    const text = keyText(entry.key)
    const before = this.#entries.get(text)
    this.#entries.set(text, entry)
    this.#adopt(text, before?.parentText, entry.parentText)
    this.#apply(entry, before)
    if (!isSame(before?.asParent, entry.asParent)) this.#remapChildren(text)
  }

  #entriesIn(entries: ReadonlyMap<string, Entry>, { kind, namespace }: Scope): [string, Entry][] {
    return [...entries].filter(
      ([, { key }]) => key.kind === kind && (namespace === undefined || key.namespace === namespace),
    )
  }

  #apply(entry: Entry, before: Entry | undefined): void {
    const { key, mapping } = entry
    const claimed = before === undefined ? undefined : modelOf(before.mapping)
    if (typeof mapping !== 'string' && !isRefusal(mapping)) {
      this.#names.set({ model: mapping, isAlias: this.#rules.aliases.has(`${key.namespace}/${key.name}`) })
      this.#resolve(mapping.name)
      return
    }
    if (claimed !== undefined) {
      this.#names.delete(claimed.name, key)
      this.#resolve(claimed.name)
    }
    this.#settle(entry, mapping === 'ignored' ? undefined : mapping)
  }

  #withdraw(entry: Entry): void {
    const model = modelOf(entry.mapping)
    this.#settle(entry, undefined)
    if (model === undefined) return
    this.#names.delete(model.name, entry.key)
    this.#resolve(model.name)
  }

  // Decides which object has the name, and exposes it.
  #resolve(name: string): void {
    const claimants = this.#names.claimants(name)
    const isConfigured = this.#configured.has(name)
    const [first] = isConfigured ? [] : claimants
    const holder = this.#holders.get(name)
    const next = first === undefined ? undefined : keyText(first.key)
    if (holder !== undefined && holder !== next) this.#free(name)
    if (next === undefined) this.#room.leave(name)
    for (const model of claimants) {
      if (model === first) this.#expose(model)
      else
        this.#settleKey(model.key, isConfigured ? configuredConflict(model) : objectConflict(model, first!))
    }
  }

  #expose(model: DiscoveredModel): void {
    const { name, key } = model
    const full = this.#holders.has(name) ? undefined : this.#room.take(model)
    if (full !== undefined) return this.#settleKey(key, full)
    this.#holders.set(name, keyText(key))
    const refusal = this.#refusalOf(model)
    if (refusal !== undefined) this.#free(name)
    this.#settleKey(key, refusal ?? model)
  }

  // One object must not prevent the changes of others.
  #refusalOf(model: DiscoveredModel): Refusal | undefined {
    try {
      return this.#sink.expose(model)
    } catch (error) {
      return faultOf(model.key, error)
    }
  }

  // Removes the model that is exposed under the name, which makes room for one that was refused.
  #free(name: string): void {
    this.#sink.remove(name)
    this.#forgetHolder(name)
  }

  #forgetHolder(name: string): void {
    const holder = this.#holders.get(name)
    if (holder === undefined) return
    this.#holders.delete(name)
    const waiting = this.#room.leave(name)
    if (waiting !== undefined) this.#admitted.add(waiting)
    if (!this.#isAdmitting) this.#admit()
  }

  // A loop, because an admitted model may be refused, and then gives its place to the next one.
  #admit(): void {
    this.#isAdmitting = true
    for (const name of this.#admitted) {
      this.#admitted.delete(name)
      this.#resolve(name)
    }
    this.#isAdmitting = false
  }

  #settleKey(key: ObjectKey, outcome: Outcome): void {
    const entry = this.#entries.get(keyText(key))
    if (entry !== undefined) this.#settle(entry, outcome)
  }

  // Counts and reports what became of an object.
  #settle(entry: Entry, outcome: Outcome | undefined): void {
    if (entry.outcome !== undefined) this.counts.count(entry.outcome, -1)
    if (outcome !== undefined) this.counts.count(outcome, 1)
    entry.outcome = outcome
    const report = outcome === undefined ? undefined : reportOf(outcome)
    if (report === entry.reported) return
    entry.reported = report
    if (outcome !== undefined) this.#sink.news(entry.key, outcome)
  }

  #adopt(child: string, before: string | undefined, parent: string | undefined): void {
    if (before === parent) return
    if (before !== undefined) {
      const children = this.#children.get(before)
      children?.delete(child)
      if (children?.size === 0) this.#children.delete(before)
    }
    if (parent === undefined) return
    const children = this.#children.get(parent) ?? new Set<string>()
    this.#children.set(parent, children.add(child))
  }

  #remapChildren(parent: string): void {
    for (const child of this.#children.get(parent) ?? []) {
      const entry = this.#entries.get(child)
      if (entry?.object !== undefined) this.#map(entry.key, entry.object)
    }
  }
}

function modelOf(mapping: Entry['mapping']): DiscoveredModel | undefined {
  return typeof mapping === 'string' || isRefusal(mapping) ? undefined : mapping
}

function isSame(one: DiscoveredModel | undefined, other: DiscoveredModel | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}

function reportOf(outcome: Outcome): string {
  if (isRefusal(outcome)) return outcome.message
  const { state, reason, detail } = outcome.condition
  return JSON.stringify([state, reason, detail])
}
