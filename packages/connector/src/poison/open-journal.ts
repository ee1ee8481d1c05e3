// Opens the journal of the configuration. Without one everything else works.
import type { Log } from '../telemetry/index.ts'
import { Journal } from './journal.ts'
import { defaultStateFolder } from './state-folder.ts'

/** Where the journal is. */
export interface JournalPlace {
  readonly poison: { readonly enabled: boolean; readonly stateFolder?: string | undefined }
  readonly broker: { readonly clientId: string; readonly url: string }
}

/** Undefined when it is switched off, or when its folder cannot be written: a read-only home must not keep a connector from starting. */
export function openJournal({ poison, broker }: JournalPlace, log: Log): Journal | undefined {
  if (!poison.enabled) return undefined
  const folder = poison.stateFolder ?? defaultStateFolder(broker.clientId, broker.url)
  const broken = (error: unknown): void =>
    log.warn(
      { event: 'poison_journal_off', folder, detail: String(error) },
      `A request that ends the process cannot be found: the folder "${folder}" cannot be written. Set poison.stateFolder.`,
    )
  try {
    return new Journal(folder, broken)
  } catch (error) {
    broken(error)
    return undefined
  }
}
