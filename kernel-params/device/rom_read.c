/* SPDX-License-Identifier: MIT */
/* Reads a card's expansion ROM. */
#include <string.h>

#include "kernel-params/device/act.h"
#include "kernel-params/device/rom.h"

/* IORESOURCE_ROM_SHADOW of linux/ioport.h, and where a PC's copy lies. */
#define ROM_SHADOW 0x2U
#define ROM_BAR    6
#define LOW_COPY   0xc0000U

bool pst_host_rom_is_shadow(const struct pst_host_pci_dev *dev)
{
	const struct pst_host_pci_bar *rom = &dev->bar[ROM_BAR];

	return rom->end && (rom->flags & ROM_SHADOW || rom->start == LOW_COPY);
}

static int read_shown(const struct pst_host_root *root, const char *path,
		      const struct pst_host_pci_dev *dev, uint8_t **ret,
		      size_t *ret_size, struct pst_error *err)
{
	char *bytes = NULL;
	size_t len;
	int r = pst_host_root_read(root, path, PST_HOST_ROM_MAX, &bytes, &len);

	if (r == 0 && len == 0) {
		free(bytes);
		r = -EIO;
	}
	if (r == -EIO || r == -EINVAL || r == -ENXIO)
		return pst_error_set(
			err, -EIO,
			"the kernel finds no image in the ROM of %s%s",
			dev->name,
			dev->enabled ? ""
				     : ", whose memory is off: read it before "
				       "vfio-pci takes the card, or unbind it "
				       "and write 1 to its enable");
	if (r < 0)
		return pst_error_set_errno(err, -r, "cannot read /%s", path);
	*ret = (uint8_t *)bytes;
	*ret_size = len;
	return 0;
}

int pst_host_rom_read(const struct pst_host_root *root,
		      const struct pst_host_pci_dev *dev, uint8_t **ret,
		      size_t *ret_size, struct pst_error *err)
{
	char path[PST_HOST_ROOT_PATH_MAX];
	sigset_t former;
	int r, back;

	if (pst_host_path(path, "%s/rom", dev->path) < 0 ||
	    !pst_host_root_exists(root, path))
		return pst_error_set(err, -ENOENT,
				     "%s has no ROM that the kernel could show",
				     dev->name);
	if (!root->live)
		return read_shown(root, path, dev, ret, ret_size, err);
	pst_host_act_begin(&former);
	r = pst_host_act_write(root, path, "1\n", err);
	if (r == 0)
		r = read_shown(root, path, dev, ret, ret_size, err);
	back = pst_host_act_write(root, path, "0\n", r == 0 ? err : NULL);
	pst_host_act_end(&former);
	if (r == 0 && back < 0) {
		free(*ret);
		*ret = NULL;
	}
	return r ? r : back;
}
