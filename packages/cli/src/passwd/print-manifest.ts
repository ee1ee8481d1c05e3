// `inferwire passwd --configmap NAME FILE` and `--secret`: the file as kubectl takes it.
import { fileManifest, isRefused, lintPasswordFile, type FileManifestOptions } from '@inferwire/mosquitto'
import { CliError, usageError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'
import { note, readFile } from './file-access.ts'
import { findingLine } from './lint-file.ts'

/** From the command line; one of the first two is given. */
export interface ManifestFlags {
  readonly configmap?: string
  readonly secret?: string
  readonly namespace?: string
  readonly key?: string
}

// `kubectl apply` notes all of the object in an annotation, and annotations may have this many bytes.
const APPLY_BYTES_MAX = 256 * 1024

/** Prints it; what lint finds goes to standard error. @throws CliError for a file that no broker should get */
export function printManifest(file: string, flags: ManifestFlags): void {
  const { text } = readFile(file)
  const findings = lintPasswordFile(text)
  for (const finding of findings) process.stderr.write(findingLine(file, finding))
  // Which line of Mosquitto will read it is not known here.
  if (isRefused(findings, '2.1')) {
    throw new CliError(
      EXIT.badInput,
      `${file} is not printed: a broker would not take all of it`,
      'Correct the lines above.',
    )
  }
  const manifest = manifestOf(text, flags)
  process.stdout.write(manifest)
  if (Buffer.byteLength(manifest) > APPLY_BYTES_MAX) {
    note('This is more than kubectl apply can do by itself: kubectl apply --server-side -f -')
  }
  if (flags.configmap !== undefined && process.stdout.isTTY) {
    note('Who may read ConfigMaps can read these hashes; --secret NAME makes a Secret of it.')
  }
}

function manifestOf(text: string, { configmap, secret, namespace, key }: ManifestFlags): string {
  const options: FileManifestOptions = {
    kind: configmap === undefined ? 'Secret' : 'ConfigMap',
    name: configmap ?? secret ?? '',
    ...(namespace === undefined ? {} : { namespace }),
    ...(key === undefined ? {} : { key }),
  }
  try {
    return fileManifest(text, options)
  } catch (error) {
    throw usageError((error as Error).message, 'Options: inferwire passwd --help')
  }
}
