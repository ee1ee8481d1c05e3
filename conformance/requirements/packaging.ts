// Requirements for the npm packages, the container image and their release.
import { met, type Requirement } from './requirement.ts'

const PACKAGES = 'conformance/packages.test.ts'
const IMAGE = 'conformance/image.test.ts'
const RELEASE = 'conformance/release.test.ts'
const SLIM = 'docs/decisions/0016-slim-install.md'

/** Requirements for the npm packages, the container image and their release. */
export const PACKAGING: readonly Requirement[] = [
  met(
    'P-SLIM-1',
    SLIM,
    'The installed command and the installed client library each take less than 25 MiB, and the command installs nothing else.',
    `${PACKAGES} > inferwire, installed in an empty folder > takes less than 25 MiB`,
    `${PACKAGES} > inferwire, installed in an empty folder > lists the bundled packages with version and license`,
    `${PACKAGES} > npx inferwire dev, in an empty folder > an application imports the installed SDK, which takes less than 25 MiB`,
  ),
  met(
    'P-DEV-1',
    SLIM,
    '`npx inferwire dev` works in an empty folder. It installs exactly its own version of the development stack, once, and leaves nothing behind if that fails.',
    `${PACKAGES} > npx inferwire dev, in an empty folder > installs the development stack into a cache folder`,
    `${PACKAGES} > npx inferwire dev, in an empty folder > installs nothing when it starts again`,
    `${PACKAGES} > inferwire dev, if the development stack cannot be installed, > states the reason`,
    `${PACKAGES} > inferwire dev, if the development stack cannot be installed, > ends and leaves nothing behind after Ctrl-C`,
    'packages/cli/src/dev/fetch-stack.test.ts > installs exactly the version of the command once',
    'packages/cli/src/dev/fetch-stack.test.ts > rejects a stack of another version',
  ),
  met(
    'P-PACK-1',
    SLIM,
    'The packed packages install in an empty folder, their commands and imports work, and their exports and types have no mistakes.',
    `${PACKAGES} > the packed packages > have the same version`,
    `${PACKAGES} > the packed packages > have no mistakes in their exports and types`,
    `${PACKAGES} > inferwire, installed in an empty folder > runs inferwire %j`,
    `${PACKAGES} > npx inferwire dev, in an empty folder > the installed connect serves a model over %s`,
  ),
  met(
    'P-IMAGE-1',
    'docs/guides/kubernetes.md',
    'The image contains only what the connector needs, in the versions of the lock file, and no native code, so that it is the same for every CPU architecture.',
    `${IMAGE} > the image built from the Dockerfile's steps > is small`,
    `${IMAGE} > the image built from the Dockerfile's steps > contains the lock file's versions`,
    `${IMAGE} > the image built from the Dockerfile's steps > is the same for every CPU architecture`,
    `${IMAGE} > the image built from the Dockerfile's steps > does not install the development stack`,
    `${IMAGE} > the image built from the Dockerfile's steps > runs as its user on a read-only file system`,
  ),
  met(
    'P-RELEASE-1',
    'CONTRIBUTING.md',
    'One workflow releases packages, image and chart for a tag, with SBOM and provenance, and can be repeated after a failure.',
    `${RELEASE} > the release workflow > has no mistakes`,
    `${RELEASE} > the release workflow > releases the image for both architectures with SBOM and provenance`,
    `${RELEASE} > the release workflow > uses only actions that are pinned`,
    `${RELEASE} > the release workflow's steps > pack a chart with the version and the image of the release`,
    `${RELEASE} > the release workflow's steps > publish > publishes every package after those that it needs`,
  ),
]
