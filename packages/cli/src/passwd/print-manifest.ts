// Runs `inferwire passwd --configmap NAME FILE` and `--secret`: prints the file as a Kubernetes object.
import { fileManifest, isRefused, lintPasswordFile, type FileManifestOptions } from '@inferwire/mosquitto'
import { CliError, usageError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'
import { note, readFile } from './file-access.ts'
import { findingLine } from './lint-file.ts'

/** The parsed command line; `configmap` or `secret` is present. */
export interface ManifestFlags {
  readonly configmap?: string
  readonly secret?: string
  readonly namespace?: string
  readonly key?: string
}

// Kubernetes' size limit for annotations: `kubectl apply` copies the object into an annotation.
const APPLY_BYTES_MAX = 256 * 1024

/** Prints the object, and lint's findings to standard error. @throws CliError for a file that a broker would reject */
export function printManifest(file: string, flags: ManifestFlags): void {
  const { text } = readFile(file)
  const findings = lintPasswordFile(text)
  for (const finding of findings) process.stderr.write(findingLine(file, finding))
  // The broker's version is unknown here, so the file is checked for Mosquitto 2.1, which accepts more files than 2.0.
  if (isRefused(findings, '2.1')) {
    throw new CliError(
      EXIT.badInput,
      `${file} was not printed: a broker would reject part of it`,
      'Correct the lines listed above.',
    )
  }
  const manifest = manifestOf(text, flags)
  process.stdout.write(manifest)
  if (Buffer.byteLength(manifest) > APPLY_BYTES_MAX) {
    note('This object is too large for kubectl apply without --server-side: kubectl apply --server-side -f -')
  }
  if (flags.configmap !== undefined && process.stdout.isTTY) {
    note('Users with access to ConfigMaps can read these hashes; --secret NAME creates a Secret instead.')
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
